/** Holds `docs/observability.md` to the code: names of attributes, metrics and fields, and the variables. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import * as names from '../../src/adapters/tracing-otel-names.ts'
import { signalsOf } from '../../src/adapters/tracing-signals.ts'
import { BallastError } from '../../src/domain/errors.ts'
import { noLog } from '../../src/domain/ports.ts'
import { logRequest } from '../../src/pipeline/request-line.ts'

const TEXT = readFileSync(join(import.meta.dirname, '../../docs/observability.md'), 'utf8')

/** What stands in backquotes in the first cells of the table behind a heading or a sentence. */
function firstCells(after: string): string[] {
  const rest = TEXT.slice(TEXT.indexOf(after) + after.length)
  const [table] = /(?:^\|.*\n)+/m.exec(rest)!
  return table!
    .split('\n')
    .slice(2)
    .flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
}

describe('docs/observability.md', () => {
  test('has every attribute there is, and no other', () => {
    const { GEN_AI, HTTP, BALLAST } = names
    const known = [GEN_AI, HTTP, BALLAST].flatMap((it) => Object.values<string>(it))
    expect(firstCells('is an event `ballast.upstream.retry`').toSorted()).toEqual(known.toSorted())
    expect(TEXT).toContain(`\`${names.RETRY_EVENT}\``)
    expect(TEXT).toContain(`\`${names.EVALUATION_RESULT}\``)
  })

  test('has every metric there is, and no other', () => {
    expect(firstCells('whether the trace was sampled or not.').toSorted()).toEqual(
      Object.values<string>(names.METRICS).toSorted(),
    )
  })

  test("has every field of a request's line, and no other", () => {
    let fields: string[] = []
    const place = { name: 'p', address: 'a', port: 1 }
    logRequest(
      { ...noLog, debug: (line) => (fields = Object.keys(line)) },
      {
        ...{
          id: 'i',
          method: 'POST',
          target: '/v1/x?y',
          client: 'c',
          status: 502,
          durationMs: 1,
          traceId: 't',
        },
        ...{ labels: { route: 'r', experiment: 'e', arm: 'a' }, policy: 'p/p', place, attempts: 1 },
        ...{ requestBytes: 1, responseBytes: 1 },
        failure: new BallastError('ballast_upstream_failed', 'm', { source: 'upstream' }),
      },
    )
    expect(firstCells('it is not even made.').toSorted()).toEqual(fields.toSorted())
  })

  test('says what the variables switch on', () => {
    const cases: [Record<string, string>, string][] = [
      [{}, ''],
      [{ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' }, ''],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x' }, 'TRACES METRICS LOGS'],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_LOGS_EXPORTER: 'none' }, 'TRACES METRICS'],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_SDK_DISABLED: 'True' }, ''],
      [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://x' }, 'METRICS'],
      [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'TRACES'],
      [{ OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'console' }, 'METRICS'],
    ]
    for (const [environment, signals] of cases)
      expect([environment, signalsOf(environment).join(' ')]).toEqual([environment, signals])
    const variables = firstCells('environment of `ballast serve`').filter((name) => name.startsWith('OTEL_'))
    expect(variables).toContain('OTEL_EXPORTER_OTLP_ENDPOINT')
    expect(variables.length).toBeGreaterThan(10)
  })
})
