/**
 * Chooses which judged samples a person labels, so that what the labels say can be carried over to all of them. Pure;
 * called by `ballast label`.
 *
 * Strata are an arm times what the judge said, near the rule's threshold or not: most is to be learnt where judge and
 * person may differ. Each gets the same number of labels, as far as it has samples; within one all have the same chance.
 * A label of a stratum of N samples of which n were chosen stands for N/n of them (probability n/N; Horvitz & Thompson
 * 1952). Whoever stops early has a random part of what was chosen: that scales all strata alike.
 */
import type { Check } from '../domain/check.ts'
import type { Verdict } from '../domain/verdict.ts'
import { fraction } from '../policy/assign.ts'

/** A judged sample that may be labelled. */
export interface Candidate {
  readonly id: string
  /** From `stratumOf`. */
  readonly stratum: string
}

/** A candidate that was chosen. */
export interface Drawn extends Candidate {
  /** With what probability, above 0 to 1. */
  readonly probability: number
}

/** How far from a threshold a score is near it, as a share of the rubric's scale. */
const NEAR = 0.1

/** @returns null where the judge said nothing. */
export function stratumOf(check: Check, arm: string, { verdict, scores }: Verdict): string | null {
  if (verdict === 'error') return null
  const said = verdict === 'excluded' || verdict === 'unparsed' ? 'uncounted' : verdict
  return `${arm}\0${said !== 'uncounted' && isNear(check, scores) ? 'near' : said}`
}

function isNear({ rubrics, rule }: Check, scores: Verdict['scores']): boolean {
  return [...rule.excluded_if_any, ...rule.positive_if_all].some((condition) => {
    const score = scores[condition.rubric]
    const threshold = condition.below ?? condition.at_most ?? condition.above ?? condition.at_least
    const scale = rubrics.find(({ id }) => id === condition.rubric)?.scale
    if (score?.kind !== 'number' || threshold === undefined || scale === undefined) return false
    return Math.abs(score.value - threshold) <= NEAR * (scale[1] - scale[0])
  })
}

/**
 * @param limit how many at most.
 * @param seed the same one chooses the same of the same candidates, and with a higher limit those and more.
 * @returns those chosen, in random order.
 */
export function drawForLabels(candidates: readonly Candidate[], limit: number, seed: number): Drawn[] {
  const strata = [...Map.groupBy(candidates, ({ stratum }) => stratum).values()]
  const place = (part: string, id: string) => fraction(`label-${part}:${seed}:${id}`)
  const sizes = allot(
    strata.map(({ length }) => length),
    limit,
  )
  const ranked = (members: readonly Candidate[], part: string) =>
    members
      .map((it) => ({ it, at: place(part, it.id) }))
      .sort((a, b) => a.at - b.at || (a.it.id < b.it.id ? -1 : 1))
      .map(({ it }) => it)
  const chosen = strata.flatMap((members, index) =>
    ranked(members, 'draw')
      .slice(0, sizes[index])
      .map((it) => ({ ...it, probability: sizes[index]! / members.length })),
  )
  const byId = new Map(chosen.map((it) => [it.id, it]))
  return ranked(chosen, 'order').map(({ id }) => byId.get(id)!)
}

/** Gives each the same share of the limit, as far as it has so many; what one cannot use goes to the others. */
function allot(sizes: readonly number[], limit: number): number[] {
  const given = sizes.map(() => 0)
  let left = Math.min(
    limit,
    sizes.reduce((sum, it) => sum + it, 0),
  )
  // One at a time, so that a higher limit takes nothing from anybody.
  while (left > 0) {
    for (let index = 0; index < sizes.length && left > 0; index++) {
      if (given[index] === sizes[index]) continue
      given[index]!++
      left--
    }
  }
  return given
}
