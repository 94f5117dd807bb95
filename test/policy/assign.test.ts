import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  assignArm,
  fraction,
  isHeldOut,
  isSampled,
  isTakenIn,
  pickExperiment,
} from '../../src/policy/assign.ts'

interface Vectors {
  fractions: { text: string; bits: string; fraction: number }[]
  assignments: { experiment: string; salt: string; unit: string; arms: Record<string, number>; arm: string }[]
  /** `arm`: the one it is taken into; null outside. */
  ramps: {
    experiment: string
    salt: string
    unit: string
    arms: Record<string, number>
    ramp: number
    arm: string | null
  }[]
  holdouts: { salt: string; unit: string; share: number; held_out: boolean }[]
  exclusive: { experiments: Record<string, number>; unit: string; experiment: string }[]
  samples: { check: string; request: string; rate: number; sampled: boolean }[]
}

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../vectors/assignment.json'), 'utf8'),
) as Vectors

function cumulative(arms: Record<string, number>): { name: string; cumulativeWeight: number }[] {
  let sum = 0
  return Object.entries(arms).map(([name, weight]) => {
    sum += weight
    return { name, cumulativeWeight: sum }
  })
}

describe('assignment', () => {
  test.each(vectors.fractions)(
    'maps "$text" to the first 52 bits of its SHA-256',
    ({ text, bits, fraction: expected }) => {
      expect(fraction(text)).toBe(expected)
      expect(BigInt(fraction(text) * 2 ** 52)).toBe(BigInt(bits))
    },
  )

  test.each(vectors.assignments)(
    'puts $unit of $experiment:$salt into $arm',
    ({ experiment, salt, unit, arms, arm }) => {
      expect(assignArm(experiment, salt, unit, cumulative(arms)).arm.name).toBe(arm)
    },
  )

  test.each(vectors.ramps)(
    'takes $unit into $arm at a ramp of $ramp',
    ({ experiment, salt, unit, arms, ramp, arm }) => {
      const assigned = assignArm(experiment, salt, unit, cumulative(arms))
      expect(isTakenIn(assigned.within, ramp) ? assigned.arm.name : null).toBe(arm)
    },
  )

  test.each(vectors.holdouts)(
    'keeps $unit out at a share of $share: $held_out',
    ({ salt, unit, share, held_out }) => {
      expect(isHeldOut(salt, unit, share)).toBe(held_out)
    },
  )

  test.each(vectors.exclusive)('lets $unit take part in $experiment', ({ experiments, unit, experiment }) => {
    const names = Object.keys(experiments).join(',')
    expect(pickExperiment(names, unit, cumulative(experiments)).name).toBe(experiment)
  })

  test.each(vectors.samples)('samples $request at $rate: $sampled', ({ check, request, rate, sampled }) => {
    expect(isSampled(check, request, rate)).toBe(sampled)
  })

  test('fills arms in proportion to their weights', () => {
    const arms = cumulative({ control: 3, treated: 1 })
    const units = Array.from({ length: 20_000 }, (_, index) => `unit-${index}`)
    const treated = units.filter((unit) => assignArm('e', 's', unit, arms).arm.name === 'treated').length
    // 5,000 expected; five standard deviations are 306.
    expect(Math.abs(treated - 5_000)).toBeLessThan(306)
  })

  test('gives a unit hash that does not name the unit and differs between experiments', () => {
    const arms = cumulative({ control: 1 })
    const one = assignArm('e1', 's', 'alice@example.org', arms).unitHash
    expect(one).toMatch(/^[0-9a-f]{32}$/)
    expect(assignArm('e2', 's', 'alice@example.org', arms).unitHash).not.toBe(one)
  })
})
