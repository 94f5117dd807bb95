/** What `deploy/prometheus` holds: by Prometheus' own checkers, every rule tested, and every name one that ballast has. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { describeWith, prometheus } from '../support/requires.ts'

const ROOT = join(import.meta.dirname, '../..')
const DEPLOY = join(ROOT, 'deploy/prometheus')
const TESTS = join(import.meta.dirname, 'rules')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const yamlFiles = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => join(folder, name))

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

interface UnitTests {
  readonly tests: readonly {
    readonly alert_rule_test?: readonly { readonly alertname: string; readonly exp_alerts: unknown[] }[]
    readonly promql_expr_test?: readonly { readonly expr: string }[]
  }[]
}

const rules = yamlFiles(join(DEPLOY, 'rules')).flatMap((file) =>
  (parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((it) => it.rules),
)
const alerts = rules.filter((rule) => rule.alert !== undefined)
const records = rules.filter((rule) => rule.record !== undefined)
const unitTests = yamlFiles(TESTS).flatMap((file) => (parse(readFileSync(file, 'utf8')) as UnitTests).tests)

const promtool = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
  return { status, output: `${stdout}${stderr}` }
}

describeWith(prometheus, 'promtool', () => {
  test('accepts the configuration, and finds the rules and targets it names', () => {
    const { status, output } = promtool('check', 'config', join(DEPLOY, 'prometheus.yml'))
    expect(output).toContain(`SUCCESS: ${yamlFiles(join(DEPLOY, 'rules')).length} rule files found`)
    expect(output).not.toContain('WARNING')
    expect(status).toBe(0)
  })

  test('accepts every rule, with all its lints', () => {
    const files = yamlFiles(join(DEPLOY, 'rules'))
    expect(promtool('check', 'rules', '--lint=all', '--lint-fatal', ...files)).toMatchObject({ status: 0 })
  })

  test('finds the rules do as their unit tests say', () => {
    const { status, output } = promtool('test', 'rules', ...yamlFiles(TESTS))
    expect(status, output).toBe(0)
  })
})

describe('the unit tests of the rules', () => {
  test('see every alert silent, then firing, then silent again', () => {
    const heard = new Map<string, string>()
    for (const { alert_rule_test: steps = [] } of unitTests) {
      for (const { alertname } of steps) {
        const states = steps
          .filter((it) => it.alertname === alertname)
          .map((it) => (it.exp_alerts.length > 0 ? 'fires' : 'silent'))
          .join(' ')
        if (/silent fires silent/.test(states)) heard.set(alertname, states)
      }
    }
    expect([...heard.keys()].sort()).toEqual(alerts.map(({ alert }) => alert).sort())
  })

  test('look at every recording rule', () => {
    const looked = unitTests.flatMap((it) => it.promql_expr_test ?? []).map(({ expr }) => expr)
    const has = (name: string) => looked.some((expr) => expr.split(/[^\w:]+/).includes(name))
    expect(records.map(({ record }) => record!).filter((name) => !has(name))).toEqual([])
  })
})

describe('the rules', () => {
  test('are named level:metric:operations', () => {
    for (const { record } of records) expect(record).toMatch(/^[a-z_]+:[a-z_]+:[a-z0-9_]+$/)
  })

  test('ask for metrics that ballast has, and for records that there are', () => {
    // A test holds this table to what ballast exports.
    const table = read('README.md').split('| series of')[1]!.split('\n\n')[0]!
    const metrics = new Set([...table.matchAll(/`(ballast_\w+)`/g)].map((match) => match[1]!))
    // What operators may set besides, commented out as shipped.
    const settable = [...read('deploy/prometheus/rules/thresholds.yaml').matchAll(/- record: (\S+)/g)]
    const known = new Set([...records.map(({ record }) => record), ...settable.map((match) => match[1])])
    for (const { expr } of rules) {
      for (const [name] of expr.matchAll(/[a-z_]+:[\w:]+|(?<![\w:])ballast_\w+/g)) {
        const base = name.replace(/_bucket$/, '')
        expect(name.includes(':') ? known : metrics).toContain(name.includes(':') ? name : base)
      }
    }
  })

  test('have the thresholds that the document says they are shipped with', () => {
    const rows = [...read('docs/operations.md').matchAll(/^\| `(\w+:\w+:threshold)` \| (\S+) \|/gm)]
    const shipped = records
      .filter(({ record, expr }) => record!.endsWith(':threshold') && expr.startsWith('vector('))
      .map(({ record, expr }) => [record, expr.slice('vector('.length, -1)])
    const settable = rows.filter(([, , value]) => value === 'none').map(([, record]) => record)
    const documented = rows
      .filter(([, , value]) => value !== 'none')
      .map(([, record, value]) => [record, value])
    expect(documented).toEqual(shipped)
    for (const record of settable)
      expect(read('deploy/prometheus/rules/thresholds.yaml')).toContain(`# - record: ${record}\n`)
  })

  test('each lead to a section of the runbook, which has one for each', () => {
    const runbook = read('docs/operations.md')
    const sections = [...runbook.matchAll(/^### (Ballast\w+)$/gm)].map((match) => match[1]!)
    expect(sections.toSorted()).toEqual(alerts.map(({ alert }) => alert).sort())
    for (const { alert, labels, annotations } of alerts) {
      expect(annotations!.runbook_url).toBe(`docs/operations.md#${alert!.toLowerCase()}`)
      expect(['critical', 'warning']).toContain(labels!.severity)
      expect(Object.keys(annotations!)).toEqual(['summary', 'description', 'runbook_url'])
    }
  })
})
