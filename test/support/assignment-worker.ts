/** Runs `test/vectors/assignment.json` in a Worker: answers with what came out other than it should. */
import {
  assignArm,
  fraction,
  isHeldOut,
  isSampled,
  isTakenIn,
  pickExperiment,
} from '../../src/policy/assign.ts'
import vectors from '../vectors/assignment.json' with { type: 'json' }

interface Outcome {
  readonly of: unknown
  readonly expected: unknown
  readonly found: unknown
}

function cumulative(arms: Record<string, number | undefined>): { name: string; cumulativeWeight: number }[] {
  let sum = 0
  return Object.entries(arms).map(([name, weight]) => {
    sum += weight ?? 0
    return { name, cumulativeWeight: sum }
  })
}

function outcomes(): Outcome[] {
  return [
    ...vectors.fractions.map((of) => ({ of, expected: of.fraction, found: fraction(of.text) })),
    ...vectors.assignments.map((of) => {
      const { arm } = assignArm(of.experiment, of.salt, of.unit, cumulative(of.arms))
      return { of, expected: of.arm, found: arm.name }
    }),
    ...vectors.ramps.map((of) => {
      const { arm, within } = assignArm(of.experiment, of.salt, of.unit, cumulative(of.arms))
      return { of, expected: of.arm, found: isTakenIn(within, of.ramp) ? arm.name : null }
    }),
    ...vectors.holdouts.map((of) => ({
      of,
      expected: of.held_out,
      found: isHeldOut(of.salt, of.unit, of.share),
    })),
    ...vectors.exclusive.map((of) => ({
      of,
      expected: of.experiment,
      found: pickExperiment(Object.keys(of.experiments).join(','), of.unit, cumulative(of.experiments)).name,
    })),
    ...vectors.samples.map((of) => ({
      of,
      expected: of.sampled,
      found: isSampled(of.check, of.request, of.rate),
    })),
  ]
}

export default {
  fetch(): Response {
    const all = outcomes()
    const wrong = all.filter(({ expected, found }) => expected !== found)
    return Response.json({ userAgent: navigator.userAgent, vectors: all.length, wrong })
  },
}
