/** What differs between two configurations: by name, never by value, since it is logged. Used by `node.ts`. */
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/load.ts'

/** Names; what is empty is left out. */
export interface NamedChanges {
  readonly added?: readonly string[]
  readonly removed?: readonly string[]
  readonly changed?: readonly string[]
  /** The same ones in another order. */
  readonly reordered?: true
}

/** By kind, such as `upstreams`; `settings` are the other keys of the configuration. */
export type Changes = Readonly<Record<string, NamedChanges>>

/** Their entries have names of their own. */
const NAMED: Readonly<Record<string, (config: Config) => Iterable<readonly [string, unknown]>>> = {
  upstreams: ({ upstreams }) => Object.entries(upstreams),
  routes: ({ routes }) => routes.map((route) => [route.model, route] as const),
  experiments: ({ experiments }) => Object.entries(experiments),
  policies: ({ policies }) => policies,
  checks: ({ checks }) => checks,
  clients: ({ clients }) =>
    Array.isArray(clients) ? clients.map((client) => [client.name, client] as const) : [],
}
/** They follow from the rest. */
const DERIVED = new Set(['hash', 'folders'])

export function changesBetween(before: Config, after: Config): Changes {
  const changes: Record<string, NamedChanges> = {}
  for (const [kind, entries] of Object.entries(NAMED)) {
    const change = compare(group(entries(before)), group(entries(after)))
    if (Object.keys(change).length > 0) changes[kind] = change
  }
  const settings = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => {
    const [old, now] = [before, after].map((config) => config[key as keyof Config])
    if (key === 'clients') return Array.isArray(old) !== Array.isArray(now) || typeof old !== typeof now
    return !(key in NAMED) && !DERIVED.has(key) && !isDeepStrictEqual(old, now)
  })
  if (settings.length > 0) changes.settings = { changed: settings }
  return changes
}

/** Entries of the same name together. */
function group(entries: Iterable<readonly [string, unknown]>): Map<string, unknown[]> {
  const groups = new Map<string, unknown[]>()
  for (const [name, value] of entries) groups.set(name, [...(groups.get(name) ?? []), value])
  return groups
}

function compare(before: Map<string, unknown>, after: Map<string, unknown>): NamedChanges {
  const [old, now] = [[...before.keys()], [...after.keys()]]
  const added = now.filter((name) => !before.has(name))
  const removed = old.filter((name) => !after.has(name))
  const changed = now.filter(
    (name) => before.has(name) && !isDeepStrictEqual(before.get(name), after.get(name)),
  )
  const kept = (names: readonly string[]) => names.filter((name) => before.has(name) && after.has(name))
  const reordered = !isDeepStrictEqual(kept(old), kept(now))
  return {
    ...(added.length > 0 && { added }),
    ...(removed.length > 0 && { removed }),
    ...(changed.length > 0 && { changed }),
    ...(reordered && { reordered }),
  }
}
