/**
 * The statistics against reference values: those in `test/vectors/stats.json`, which go with the project, and, where the
 * reference data lies beside it, the two against each other. Prints how close each method came.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { describeWith, shared } from '../support/requires.ts'
import { readSharedVectors, translate } from './shared-vectors.ts'
import { METHOD_NAMES, readVectors, type VectorMethod, worstError } from './vector-methods.ts'

const vectors = readVectors()
const worst = new Map<string, number>()

function row(cells: readonly string[]): string {
  return `${cells[0]!.padEnd(24)}${cells[1]!.padStart(8)}${cells[2]!.padStart(28)}\n`
}

describe('reference values', () => {
  afterAll(() => {
    const rows = [...worst].map(([name, error]) =>
      row([name, String(vectors[name]!.cases.length), error.toPrecision(2)]),
    )
    process.stdout.write([row(['method', 'vectors', 'worst error / tolerance']), ...rows].join(''))
  })

  it('are there for every method, and every method is there for them', () => {
    expect(Object.keys(vectors).sort()).toEqual(METHOD_NAMES.toSorted())
    const ids = Object.values(vectors).flatMap(({ cases }) => cases.map(({ id }) => id))
    expect(new Set(ids).size).toBe(260)
  })

  it.each(Object.entries(vectors))('%s comes within its tolerance', (name, method) => {
    const errors = method.cases.map((vector) => ({ id: vector.id, error: worstError(name, method, vector) }))
    worst.set(name, Math.max(...errors.map(({ error }) => error)))
    expect(errors.filter(({ error }) => !(error <= 1))).toEqual([])
  })

  it('stand in the documentation, with their numbers', () => {
    const text = readFileSync(join(import.meta.dirname, '../../docs/statistics.md'), 'utf8')
    for (const [name, { cases }] of Object.entries(vectors))
      expect(text).toMatch(new RegExp(`^\\| \`${name}\` \\| ${cases.length} \\|`, 'm'))
  })

  it('are missed by what is wrong', () => {
    const [vector] = vectors.wilsonInterval!.cases
    const changed = (expected: Record<string, unknown>): number =>
      worstError('wilsonInterval', vectors.wilsonInterval!, { ...vector!, expected })
    expect(changed({ ...vector!.expected, upper: Number(vector!.expected.upper) + 2e-9 })).toBeCloseTo(2, 5)
    expect(changed({ ...vector!.expected, middle: 0.1 })).toBe(Infinity)
    expect(changed({ lower: [0] })).toBe(Infinity)
  })
})

describeWith(shared, 'the reference data in ../shared', () => {
  const all = shared.missing ? [] : readSharedVectors()

  it('is covered, vector by vector', () => {
    expect(all).toHaveLength(260)
    for (const vector of all) {
      const { method, case: translated } = translate(vector)
      expect(vectors[method]!.cases.find(({ id }) => id === vector.id)).toEqual(translated)
      expect(vectors[method]!.tolerance).toBeLessThanOrEqual(vector.tolerance)
    }
  })

  it.each([...Map.groupBy(all, ({ method }) => method)])('%s is met directly', (_, group) => {
    for (const vector of group) {
      const { method, case: translated } = translate(vector)
      const held: VectorMethod = {
        source: '',
        tolerance: vector.tolerance,
        scale: vector.tolerance_kind === 'relative' ? 'value' : 'at least 1',
        cases: [translated],
      }
      expect(worstError(method, held, translated), vector.id).toBeLessThanOrEqual(1)
    }
  })
})
