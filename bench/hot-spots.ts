/** Reads CPU profiles of Node and says where the time went, most expensive first. Called by `main.ts`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A CPU profile as far as it is read here (V8's inspector protocol, Profiler.Profile). */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** Ids of nodes, and the microseconds before each. */
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface HotSpot {
  /** `function file:line`. */
  readonly place: string
  /** Of the time that was not idle. */
  readonly share: number
}

export interface ProfileSummary {
  readonly name: string
  readonly spots: readonly HotSpot[]
}

const ROOT = join(import.meta.dirname, '..')
const SHOWN = 40
const IDLE = new Set(['(idle)', '(program)'])

/** Time by function, itself alone, what it calls not included. */
export function summarize(profile: CpuProfile): HotSpot[] {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const idle = new Set(profile.nodes.filter((it) => IDLE.has(it.callFrame.functionName)).map(({ id }) => id))
  const micros = new Map<string, number>()
  let total = 0
  for (const [index, id] of profile.samples.entries()) {
    if (idle.has(id)) continue
    const time = profile.timeDeltas[index] ?? 0
    total += time
    const place = places.get(id) ?? '?'
    micros.set(place, (micros.get(place) ?? 0) + time)
  }
  return [...micros]
    .map(([place, time]) => ({ place, share: total === 0 ? 0 : time / total }))
    .sort((a, b) => b.share - a.share)
}

function placeOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const file = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url
  return `${name} ${file}:${lineNumber + 1}`
}

/** @param folder with a folder for each target, as `--cpu-prof` leaves them. */
export function hotSpots(folder: string): ProfileSummary[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => ({
      name,
      spots: summarize(JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile),
    }))
}

export function formatHotSpots(summaries: readonly ProfileSummary[]): string {
  return summaries
    .map(({ name, spots }) => {
      const lines = spots
        .slice(0, SHOWN)
        .map(({ place, share }) => `${(share * 100).toFixed(1).padStart(5)} %  ${place}`)
      return [name, ...lines].join('\n')
    })
    .join('\n\n')
}
