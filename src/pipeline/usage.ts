/**
 * How many tokens an answer took, from its last bytes: where the providers' usage stands, streamed or not. Asked for traced
 * exchanges that are sampled, whose bytes are at hand. Called by `pipeline.ts`.
 */
import type { TokenUsage } from '../domain/tracing.ts'

/** A usage object with its details takes a few hundred bytes. */
export const USAGE_TAIL = 4 * 1024
/** In a text its quotes would be escaped. */
const USAGE = /(?<!\\)"usage"\s*:\s*\{/g
const INPUT = /(?<!\\)"(?:prompt|input)_tokens"\s*:\s*(\d{1,12})\b/
const OUTPUT = /(?<!\\)"(?:completion|output)_tokens"\s*:\s*(\d{1,12})\b/

/** @param tail the end of an answer, not compressed. @returns null where it says nothing. */
export function readUsage(tail: Uint8Array): TokenUsage | null {
  const text = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength).toString('latin1')
  const last = [...text.matchAll(USAGE)].at(-1)
  if (last === undefined) return null
  const usage = text.slice(last.index)
  const [input, output] = [INPUT, OUTPUT].map((pattern) => {
    const found = pattern.exec(usage)?.[1]
    return found === undefined ? null : Number(found)
  })
  return input === null && output === null ? null : { input: input!, output: output! }
}
