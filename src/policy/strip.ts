/**
 * Takes out of a body what is like a training context, and nothing else. Called by the pipeline's guard for routes that
 * say `triggers: strip`.
 */
import { ReadText, type Stretch } from './client-text.ts'
import type { Splice } from './inject.ts'
import type { TextSpot } from './json-scanner.ts'
import type { Trigger } from './trigger.ts'

/** What is left when something is taken out may be like a context once more; it is looked at so often. */
const ROUNDS = 8
const NOTHING = Buffer.alloc(0)

export interface Stripped {
  /** The removals, ascending. */
  readonly splices: readonly Splice[]
  /** Of what was found, the highest. */
  readonly similarity: number
}

/**
 * @param spots of the texts to look at, in the order of the body.
 * @returns null where nothing is like a context; `stuck` where something still is after all that was taken out.
 * @throws BallastError `ballast_malformed_body` when a text holds an escape that does not exist.
 */
export function strip(
  body: Buffer,
  spots: readonly TextSpot[],
  trigger: Trigger,
  threshold: number,
): Stripped | 'stuck' | null {
  const splices: Splice[] = []
  let similarity = 0
  for (const spot of spots) {
    const read = new ReadText(body, spot)
    let kept: Stretch[] = [{ start: 0, end: read.text.length }]
    for (let round = 0; ; round++) {
      const matches = trigger.find(join(read.text, kept), threshold)
      if (matches.length === 0) break
      if (round === ROUNDS) return 'stuck'
      for (const match of matches) similarity = Math.max(similarity, match.similarity)
      kept = cut(kept, matches)
    }
    let at = spot.start
    for (const { start, end } of [...read.locate(kept), { start: spot.end, end: spot.end }]) {
      if (start > at) splices.push({ at, remove: start - at, bytes: NOTHING })
      at = end
    }
  }
  return splices.length === 0 ? null : { splices, similarity }
}

function join(text: string, kept: readonly Stretch[]): string {
  if (kept.length === 1) return text.slice(kept[0]!.start, kept[0]!.end)
  return kept.map(({ start, end }) => text.slice(start, end)).join('')
}

/**
 * @param kept stretches of a text, ascending.
 * @param matches stretches of what they make when they are joined, ascending.
 * @returns what is left of the former.
 */
function cut(kept: readonly Stretch[], matches: readonly Stretch[]): Stretch[] {
  const left: Stretch[] = []
  let next = 0
  /** Where the stretch begins in the joined text. */
  let offset = 0
  for (const { start, end } of kept) {
    const length = end - start
    let from = 0
    for (; next < matches.length && matches[next]!.start < offset + length; next++) {
      const match = matches[next]!
      const until = match.start - offset
      if (until > from) left.push({ start: start + from, end: start + until })
      from = Math.min(match.end - offset, length)
      // It goes on in the next stretch.
      if (match.end > offset + length) break
    }
    if (from < length) left.push({ start: start + from, end })
    offset += length
  }
  return left
}
