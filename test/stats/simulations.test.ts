/**
 * The error rates that decisions promise, in simulated experiments that are looked at after every verdict: the short
 * form of `npm run simulate`. The seeds are fixed, so a run is the same everywhere.
 */
import { describe, expect, it } from 'vitest'
import { ALPHA } from '../../bench/looks.ts'
import { clustered, delayed, driftUnderRamp, equalArms, power, severalArms } from '../../bench/simulation.ts'
import { thinned } from '../../bench/thinning.ts'

describe('equal arms', () => {
  it.each([
    [0.005, 0.5],
    [0.005, 0.1],
    [0.02, 0.5],
    [0.02, 0.1],
    [0.1, 0.5],
    [0.1, 0.1],
    [0.3, 0.5],
    [0.3, 0.1],
  ])('of rate %d, treatment share %d, are seldom called different, unlike by a z-test', (rate, share) => {
    const alarms = equalArms({ runs: 200, seed: 41 }, rate, share, 1500)
    expect(alarms.process).toBeLessThanOrEqual(ALPHA)
    expect(alarms.sequence).toBeLessThanOrEqual(ALPHA)
    expect(alarms.z).toBeGreaterThan(2 * ALPHA)
    expect(alarms.wilson).toBeGreaterThan(2 * ALPHA)
  })

  it('are seldom called different under drift while the ramp goes on, unlike by the rejected methods', () => {
    const alarms = driftUnderRamp({ runs: 300, seed: 42 }, 4000)
    expect(alarms.process).toBeLessThanOrEqual(ALPHA)
    expect(alarms.z).toBeGreaterThan(0.4)
    expect(alarms.asymptotic).toBeGreaterThan(2 * ALPHA)
  })

  it('are seldom called different when one arm is judged later, counted as a follower counts', () => {
    const { followed, arrival, late } = delayed({ runs: 100, seed: 43 }, 4000, 3)
    expect(followed.process).toBeLessThanOrEqual(ALPHA)
    expect(late).toBeGreaterThan(0)
    expect(arrival.process).toBeGreaterThan(2 * ALPHA)
  })

  it('are often called different on five verdicts a user, and seldom on one', () => {
    const { allVerdicts, onePerUser } = clustered({ runs: 200, seed: 44 }, 0.1, 1000)
    expect(allVerdicts.process).toBeGreaterThan(2 * ALPHA)
    expect(onePerUser.process).toBeLessThanOrEqual(ALPHA)
  })

  it('are seldom called different where three treatments have their chance', () => {
    expect(severalArms({ runs: 100, seed: 45 }, 0.1, 2000).holm).toBeLessThanOrEqual(ALPHA)
  })
})

describe('2% against 5%', () => {
  it('is found in 95 of 100 runs, as soon as a test of one look would be, and never the wrong way round', () => {
    const { found, wrong, median, fixed } = power({ runs: 400, seed: 46 }, 0.05, 0.02, 4000)
    expect(found).toBeGreaterThanOrEqual(0.95)
    expect(median).toBeLessThanOrEqual(1.1 * fixed)
    expect(wrong).toBeLessThanOrEqual(0.01)
    expect(fixed).toBe(1176)
  })

  it('is found where the treatment is worse as often', () => {
    const { found, wrong } = power({ runs: 200, seed: 47 }, 0.02, 0.05, 4000)
    expect(found).toBeLessThanOrEqual(ALPHA)
    expect(wrong).toBeGreaterThanOrEqual(0.95)
  })
})

describe('a starved budget', () => {
  it('bends the plain rate and not the weighted one, whose bounds hold', () => {
    const found = thinned({ runs: 100, seed: 47 })
    expect(found.thinned).toBeGreaterThan(0.5)
    expect(found.refused).toBe(0)
    expect(Math.abs(found.unweighted - found.truth)).toBeGreaterThan(0.02)
    expect(found.coveredUnweighted).toBeLessThan(0.2)
    expect(Math.abs(found.weighted - found.truth)).toBeLessThan(3 * found.weightedError)
    expect(found.covered).toBeGreaterThanOrEqual(0.93)
  })
})
