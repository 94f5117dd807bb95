/** Reads CPU profiles of Node and says where the time went, most expensive first. Called by `main.ts`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A CPU profile as far as it is read here (V8's inspector protocol, Profiler.Profile). */
export interface CpuProfile {
  /** The first one is the root. */
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  /** Ids of nodes, and the microseconds before each. */
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface HotSpot {
  /** `function file:line`, or what stands for one. */
  readonly place: string
  /** Of the time that was not idle. */
  readonly share: number
}

export interface ProfileSummary {
  /** By function, what it calls not included. */
  readonly own: readonly HotSpot[]
  /** By library, or folder of ballast, or part of Node. */
  readonly area: readonly HotSpot[]
  /** By function of ballast, what it calls included. */
  readonly whole: readonly HotSpot[]
}

type Frame = CpuProfile['nodes'][number]['callFrame']

const ROOT = join(import.meta.dirname, '..')
const SHOWN = 30
const IDLE = '(idle)'
/** What a process does at its start. */
const LOADING = /^node:internal\/(?:modules|bootstrap|deps\/(?:amaro|cjs))/

export function summarize(profile: CpuProfile): ProfileSummary {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const time = new Map<number, number>()
  let total = 0
  for (const [index, id] of profile.samples.entries()) {
    if (nodes.get(id)?.callFrame.functionName === IDLE) continue
    const micros = profile.timeDeltas[index] ?? 0
    total += micros
    time.set(id, (time.get(id) ?? 0) + micros)
  }
  const own = new Map<string, number>()
  const area = new Map<string, number>()
  const whole = new Map<string, number>()
  const add = (sums: Map<string, number>, place: string, micros: number) =>
    sums.set(place, (sums.get(place) ?? 0) + micros)
  const walk = (id: number, above: ReadonlySet<string>) => {
    const node = nodes.get(id)!
    const place = placeOf(node.callFrame)
    const micros = time.get(id) ?? 0
    add(own, place, micros)
    add(area, areaOf(node.callFrame), micros)
    // A function that calls itself is counted once.
    const stack = fileOf(node.callFrame).startsWith('src/') ? new Set([...above, place]) : above
    for (const caller of stack) add(whole, caller, micros)
    for (const child of node.children ?? []) walk(child, stack)
  }
  if (profile.nodes[0] !== undefined) walk(profile.nodes[0].id, new Set())
  const ranked = (sums: Map<string, number>) =>
    [...sums]
      .map(([place, micros]) => ({ place, share: total === 0 ? 0 : micros / total }))
      .filter(({ share }) => share > 0)
      .sort((a, b) => b.share - a.share)
  return { own: ranked(own), area: ranked(area), whole: ranked(whole) }
}

function fileOf({ url }: Frame): string {
  return url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url
}

function placeOf(frame: Frame): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
  return frame.url === '' ? name : `${name} ${fileOf(frame)}:${frame.lineNumber + 1}`
}

function areaOf(frame: Frame): string {
  const file = fileOf(frame)
  if (file === '') return frame.functionName.startsWith('(g') ? frame.functionName : 'native'
  if (file.startsWith('wasm:')) return 'wasm (llhttp)'
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)
  if (library !== null) return library[1]!
  if (!file.startsWith('node:')) return file.split('/').slice(0, 2).join('/')
  if (file.startsWith('node:internal/deps/undici')) return 'node: fetch'
  return LOADING.test(file) ? 'node: loading' : 'node:'
}

/** @param folder with a folder for each target, as `--cpu-prof` leaves them. */
export function hotSpots(folder: string): [name: string, summary: ProfileSummary][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => [name, summarize(JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile)])
}

export function formatHotSpots(summaries: readonly (readonly [string, ProfileSummary])[]): string {
  const list = (title: string, spots: readonly HotSpot[]) => [
    title,
    ...spots.slice(0, SHOWN).map(({ place, share }) => `${(share * 100).toFixed(1).padStart(6)} %  ${place}`),
  ]
  return summaries
    .flatMap(([name, { own, area, whole }]) => [
      ...list(`${name}: by area`, area),
      ...list('by function, without what it calls', own),
      ...list('by function of ballast, with what it calls', whole),
      '',
    ])
    .join('\n')
}
