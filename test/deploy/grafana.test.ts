/** The dashboard of `deploy/grafana`: well formed, of metrics that ballast has, and no panel without data while the demo runs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { eventually } from '../support/ballast.ts'
import { ballast as command } from '../support/command.ts'
import { type RunningPrometheus, startPrometheus } from '../support/prometheus.ts'
import { describeWith, prometheus } from '../support/requires.ts'

const GRAFANA = join(import.meta.dirname, '../../deploy/grafana')

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number }
  readonly targets?: readonly {
    readonly refId: string
    readonly expr: string
    readonly datasource: unknown
  }[]
}

interface Dashboard {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] }
  readonly annotations: { readonly list: readonly { readonly expr?: string }[] }
}

const dashboard = JSON.parse(readFileSync(join(GRAFANA, 'dashboards/ballast.json'), 'utf8')) as Dashboard
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const variables = dashboard.templating.list
const queries = panels.flatMap(({ title, targets }) =>
  targets!.map(({ refId, expr }) => ({ name: `${title} ${refId}`, expr })),
)
const annotations = dashboard.annotations.list.flatMap(({ expr }) => expr ?? [])

/** As Grafana does with "All" chosen everywhere, on a Prometheus that scrapes every second. */
const substituted = (expr: string) =>
  expr
    .replaceAll('$__rate_interval', '8s')
    .replaceAll('$__range', '5m')
    .replace(/\$(job|experiment|arm)\b/g, '.*')

describe('the dashboard', () => {
  test('is of the last classic schema, with variables for data source, experiment and arm', () => {
    expect([dashboard.uid, dashboard.schemaVersion]).toEqual(['ballast', 42])
    expect(variables.map(({ name }) => name)).toEqual(['datasource', 'job', 'experiment', 'arm'])
    for (const { expr } of queries) {
      expect(expr).toContain('job=~"$job"')
      expect(substituted(expr)).not.toContain('$')
    }
  })

  test('has panels that each say what they show, from the data source that is chosen', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { title, description, datasource, targets } of panels) {
      expect(description?.length ?? 0, title).toBeGreaterThan(10)
      for (const it of [datasource, ...targets!.map((target) => target.datasource)])
        expect(it, title).toEqual({ type: 'prometheus', uid: '${datasource}' })
    }
  })

  test('has panels that stand beside each other, not on each other', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of dashboard.panels) {
      const { x, y, w, h } = gridPos
      expect(x + w, title).toBeLessThanOrEqual(24)
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          expect(taken.get(`${column} ${line}`), title).toBeUndefined()
          taken.set(`${column} ${line}`, title)
        }
      }
    }
  })

  test('is where the provisioning looks for it', () => {
    const read = (file: string) => parse(readFileSync(join(GRAFANA, 'provisioning', file), 'utf8'))
    expect(read('dashboards/ballast.yaml')).toMatchObject({ apiVersion: 1, providers: [{ type: 'file' }] })
    expect(read('datasources/prometheus.yaml')).toMatchObject({
      apiVersion: 1,
      datasources: [{ type: 'prometheus', isDefault: true }],
    })
  })
})

/** Values of a variable, as Grafana asks for them. */
async function labelValues(server: RunningPrometheus, definition: string): Promise<string[]> {
  const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(definition)!
  const series = await server.query(`count by (${label}) (${substituted(selector!)})`)
  return series.map(({ metric }) => metric[label!]!)
}

describeWith(prometheus, 'while the demo runs', () => {
  test('no panel is without data, and every metric is one that ballast has', async () => {
    const demo = command(['demo'])
    const [, metricsUrl] = await demo.says(/Metrics +(http\S+)\/metrics/)
    const server = await startPrometheus({ targets: { ballast: metricsUrl! } })
    let empty: string[] = []
    const looked = async () => {
      const found = await Promise.all(
        queries.map(async ({ name, expr }) => {
          const series = await server.query(substituted(expr))
          return series.some(({ value }) => Number.isFinite(Number(value[1]))) ? [] : [name]
        }),
      )
      empty = found.flat()
      return empty.length === 0
    }
    await eventually(looked, 45_000).catch(() => expect(empty).toEqual([]))

    const exported = await (await fetch(`${metricsUrl}/metrics`)).text()
    const names = new Set([...exported.matchAll(/^# TYPE (\w+)/gm)].map((match) => match[1]))
    const definitions = variables.flatMap(({ definition }) => definition ?? [])
    for (const expr of [...queries.map((it) => it.expr), ...annotations, ...definitions])
      for (const [name] of expr.matchAll(/\b(?:ballast|process|nodejs)_\w+/g))
        expect(names, expr).toContain(name.replace(/_bucket$/, ''))
    for (const expr of annotations) await server.query(substituted(expr))
    expect(await Promise.all(definitions.map((it) => labelValues(server, it)))).toEqual([
      ['ballast'],
      ['birds'],
      expect.arrayContaining(['control', 'etymologist']),
    ])
  })
})
