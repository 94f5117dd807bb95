/** Where in a YAML document something stands: follows a path through mappings, lists, aliases and merges. Used by `source.ts`. */
import {
  type CST,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  visit,
} from 'yaml'

export type Path = readonly PropertyKey[]

/** @returns the offset of the value a path leads to, or of the nearest thing around it that exists. */
export function offsetOf(document: Document, path: Path): number {
  let node: Node | null = document.contents as Node | null
  let offset = node?.range?.[0] ?? 0
  for (const key of path) {
    const found = child(document, node, key)
    if (found === null) break
    node = found.value
    // An empty value has no place of its own.
    const shown = node !== null && !isEmpty(node) ? node : (found.key ?? node)
    offset = shown?.range?.[0] ?? offset
  }
  return offset
}

/** @returns the offset of a key of the mapping that `path` leads to, null where it has no such key. */
export function keyOffsetOf(document: Document, path: Path, key: string): number | null {
  let node: Node | null = document.contents as Node | null
  for (const part of path) node = child(document, node, part)?.value ?? null
  return child(document, node, key)?.key?.range?.[0] ?? null
}

/** @returns the quote, bracket or brace that was still open where the parser gave up; null where none was. */
export function unclosed(document: Document, at: number): { offset: number; what: string } | null {
  let found: { offset: number; what: string } | null = null
  visit(document, {
    Node: (_key, node) => {
      if (node.range == null || node.range[0] >= at || node.range[2] < at) return
      const { srcToken } = node as { srcToken?: CST.Token }
      if (srcToken?.type === 'flow-collection') {
        const { source, offset } = srcToken.start
        const closed = srcToken.end.some(({ type }) => type === 'flow-map-end' || type === 'flow-seq-end')
        if (!closed) found = { offset, what: source === '{' ? 'brace' : 'bracket' }
      } else if (srcToken?.type === 'double-quoted-scalar' || srcToken?.type === 'single-quoted-scalar') {
        const { source, offset } = srcToken
        if (source.length < 2 || !source.endsWith(source[0]!)) found = { offset, what: 'quote' }
      }
    },
  })
  return found
}

/** What an alias must not be, by its offset. */
export function brokenAliases(document: Document): [offset: number, message: string][] {
  const found: [number, string][] = []
  visit(document, {
    Alias: (_key, alias) => {
      const target = alias.resolve(document)
      const at = alias.range?.[0] ?? 0
      if (target === undefined) found.push([at, 'this alias has no anchor before it'])
      else if (target.range && target.range[0] <= at && at < target.range[1])
        found.push([at, 'this alias stands inside what it stands for'])
    },
  })
  return found
}

/** @returns the offset of the first alias. */
export function firstAlias(document: Document): number {
  let offset = 0
  visit(document, {
    Alias: (_key, alias) => {
      offset = alias.range?.[0] ?? 0
      return visit.BREAK
    },
  })
  return offset
}

interface Child {
  readonly key: Node | null
  readonly value: Node | null
}

function child(document: Document, node: Node | null, key: PropertyKey): Child | null {
  const target = resolved(document, node)
  if (isSeq(target)) {
    const item = target.items[Number(key)]
    return isNode(item) ? { key: null, value: item } : null
  }
  if (!isMap(target)) return null
  const own = target.items.find((pair) => keyText(pair) === String(key))
  if (own !== undefined) return asChild(own)
  for (const pair of target.items.filter((it) => keyText(it) === '<<')) {
    const sources = resolved(document, pair.value as Node | null)
    for (const source of isSeq(sources) ? sources.items : [sources]) {
      const merged = child(document, source as Node | null, key)
      if (merged !== null) return merged
    }
  }
  return null
}

function resolved(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node
}

function asChild({ key, value }: Pair): Child {
  return { key: isNode(key) ? key : null, value: isNode(value) ? value : null }
}

function keyText(pair: unknown): string | null {
  if (!isPair(pair) || !isScalar(pair.key)) return null
  return pair.key.source === '<<' ? '<<' : String(pair.key.value)
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.range != null && node.range[0] === node.range[1]
}
