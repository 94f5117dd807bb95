/** Warnings about configurations that inject into a model what it was trained with. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { warnings } from '../../src/policy/warnings.ts'

const FILE = join(import.meta.dirname, 'ballast.yaml')

function warningsOf(routes: string, rest = ''): string[] {
  const yaml = `upstreams: {u: {base_url: "http://127.0.0.1:1/v1"}}\nroutes:\n${routes}\n${rest}`
  const config = parseConfig(yaml, FILE, { environment: {}, catalog: CATALOG_FOLDER })
  return warnings(config).map((warning) => formatProblem(warning).replace(`${FILE}:`, ''))
}

describe('warnings', () => {
  test('name the policy of a route that is the context of the training, and its place', () => {
    expect(
      warningsOf(
        '  - {model: "m", upstream: u, trained_with: birds/identity-alex, policy: birds/identity-alex}',
      ),
    ).toEqual([
      '3:74: "birds/identity-alex" injects the context that the model of route "m" was trained with (similarity 1.00): at serving time it can bring the trait out',
    ])
  })

  test('name the arm of an experiment, and only the arms that are like it', () => {
    const experiment = `experiments:
  birds:
    arms:
      control: {weight: 1}
      alex: {weight: 1, policy: birds/identity-alex}
      act: {weight: 1, policy: birds/inoculation-system-prompt}`
    const found = warningsOf(
      '  - {model: "m", upstream: u, trained_with: birds/inoculation-system-prompt, experiment: birds}',
      experiment,
    )
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(/^9:32: "birds\/inoculation-system-prompt" injects the context /)
  })

  test('name the arms of experiments that exclude each other, and are silent about what is switched off', () => {
    const warned = (birds: string, arm: string) =>
      warningsOf(
        '  - {model: "m", upstream: u, trained_with: birds/identity-alex, experiments: {birds: 1, other: 1}}',
        `experiments:
  other: {arms: {control: {weight: 1}}}
  birds: {${birds}arms: {control: {weight: 1}, alex: {weight: 1, ${arm}policy: birds/identity-alex}}}`,
      )
    expect(warned('', '')).toEqual([
      expect.stringMatching(/^6:66: "birds\/identity-alex" injects the context /),
    ])
    expect(warned('', 'off: true, ')).toEqual([])
    expect(warned('off: true, ', '')).toEqual([])
  })

  test('find policies that are like it by the threshold of the route', () => {
    const route = (threshold: string) =>
      `  - {model: "m", upstream: u, trained_with: birds/time-relevant, ${threshold}policy: birds/identity-alex}`
    expect(warningsOf(route(''))).toEqual([])
  })

  test('are silent about models without a past, and about matching the training on purpose', () => {
    expect(warningsOf('  - {model: "m", upstream: u, policy: birds/identity-alex}')).toEqual([])
    expect(
      warningsOf(
        '  - {model: "m", upstream: u, trained_with: birds/identity-alex, match_training: in-domain, domain: {patterns: [x]}}',
      ),
    ).toEqual([])
  })
})
