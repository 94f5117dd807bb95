/** The load generator wrk: its script and its output. Used by `load.ts` where wrk is found. */
import { type Template, UNITS } from './request.ts'

/** What wrk prints, as far as it is used. */
export interface WrkOutput {
  readonly requests: number
  readonly seconds: number
  /** Connections that failed, timed out, and answers that were no 2xx or 3xx. */
  readonly failed: number
  /** Of the latencies, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** The Lua that makes the requests. @param first the number of the first one: none comes twice in a run. */
export function wrkScript({ pieces }: Template, first: number): string {
  // The pieces are ASCII without other control characters than line ends: JSON's literals are Lua's.
  const [a, b, c] = pieces.map((piece) => JSON.stringify(piece))
  return `local a, b, c = ${a}, ${b}, ${c}
local n = ${first}
request = function()
  n = n + 1
  return a .. string.format("%012d", n) .. b .. string.format("%06d", n % ${UNITS}) .. c
end
`
}

const UNIT_MS: Record<string, number> = { us: 0.001, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** `612.00us`, `50.52ms`, `1.20s` -> milliseconds. @throws Error */
export function parseTime(text: string): number {
  const match = /^([\d.]+)(us|ms|s|m|h)$/.exec(text)
  if (match === null) throw new Error(`wrk printed "${text}" where a time was expected`)
  return Number(match[1]) * UNIT_MS[match[2]!]!
}

/** @throws Error when the text is not the output of `wrk --latency`. */
export function parseWrk(text: string): WrkOutput {
  const total = /^\s*(\d+) requests in ([\d.]+\w+),/m.exec(text)
  const percentile = (percent: number) => new RegExp(`^\\s*${percent}%\\s+(\\S+)\\s*$`, 'm').exec(text)?.[1]
  const [p50, p99] = [percentile(50), percentile(99)]
  if (total === null || p50 === undefined || p99 === undefined)
    throw new Error(`this is no output of wrk:\n${text}`)
  const statuses = /^\s*Non-2xx or 3xx responses: (\d+)$/m.exec(text)
  const sockets = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$/m.exec(text)
  const failed = [statuses?.[1], ...(sockets?.slice(1) ?? [])].reduce((sum, it) => sum + Number(it ?? 0), 0)
  return {
    requests: Number(total[1]),
    seconds: parseTime(total[2]!) / 1000,
    failed,
    p50: parseTime(p50),
    p99: parseTime(p99),
  }
}
