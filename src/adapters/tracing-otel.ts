/**
 * The `Tracing` port on OpenTelemetry's SDK for Node, which reads its settings from the environment (`OTEL_*`). Loaded by
 * `tracing.ts` when they ask for it. What a request and a judging leave is in `tracing-otel-request.ts` and
 * `tracing-otel-judging.ts`.
 */
import { DiagLogLevel, diag, logs, metrics, trace } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { LRUCache } from 'lru-cache'
import type { Log } from '../domain/ports.ts'
import type { Tracing } from '../domain/tracing.ts'
import { OtelJudging } from './tracing-otel-judging.ts'
import { createInstruments } from './tracing-otel-metrics.ts'
import { OtelRequest } from './tracing-otel-request.ts'
import { type Environment, type Signal, wordsOf } from './tracing-signals.ts'

const SCOPE = 'ballast'
const PROMETHEUS = 'prometheus'
/** A collector that is away must not keep ballast from ending. */
const LAST_SENDING_MS = 3_000
/** That one is away is said once, and again when it has been for so long. */
const SAY_AGAIN_MS = 3_600_000
const LONGEST_REASON = 300
const MOST_REASONS = 20

/** @param signals what of it is sent. */
export function startOtelTracing(signals: readonly Signal[], environment: Environment, log: Log): Tracing {
  const diagnostics = loggedDiagnostics(log)
  const setDiagnostics = () =>
    diag.setLogger(diagnostics, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  setDiagnostics()
  const named =
    environment.OTEL_SERVICE_NAME || /(^|,)\s*service\.name=/.test(environment.OTEL_RESOURCE_ATTRIBUTES ?? '')
  const exporters = wordsOf(environment.OTEL_METRICS_EXPORTER)
  const others = exporters.filter((it) => it !== PROMETHEUS)
  const measures = signals.includes('METRICS') && (others.length > 0 || exporters.length === 0)
  if (others.length < exporters.length) {
    log.warn({}, 'OTEL_METRICS_EXPORTER=prometheus is passed over: ballast serves /metrics itself')
    // The SDK reads it from there, and nowhere else.
    if (measures) process.env.OTEL_METRICS_EXPORTER = others.join(',')
  }
  const sdk = new NodeSDK({
    ...(named ? {} : { serviceName: SCOPE }),
    ...(signals.includes('TRACES') ? {} : { spanProcessors: [] }),
    ...(measures ? {} : { metricReaders: [] }),
    ...(signals.includes('LOGS') ? {} : { logRecordProcessors: [] }),
  })
  sdk.start()
  // It sets a console in its place where OTEL_LOG_LEVEL is given.
  setDiagnostics()
  const tracer = trace.getTracer(SCOPE)
  const instruments = createInstruments(metrics.getMeter(SCOPE))
  const logger = logs.getLogger(SCOPE)
  return {
    request: (method, target, headers) => new OtelRequest(tracer, instruments, method, target, headers),
    judging: (sample) => new OtelJudging({ tracer, instruments, logger }, sample),
    async close() {
      let late: NodeJS.Timeout | undefined
      const waited = new Promise<void>((resolve) => {
        late = setTimeout(resolve, LAST_SENDING_MS)
      })
      const sent = sdk.shutdown().catch((error: unknown) => diagnostics.error(String(error)))
      await Promise.race([sent, waited])
      clearTimeout(late)
    },
  }
}

/** What the SDK says of itself, in ballast's log; it says the same with every batch that it cannot send. */
function loggedDiagnostics(log: Log) {
  const said = new LRUCache<string, true>({ max: MOST_REASONS, ttl: SAY_AGAIN_MS })
  const say = (...parts: unknown[]) => {
    const reason = parts
      .map((it) => reasonIn(String(it)))
      .join(': ')
      .slice(0, LONGEST_REASON)
    if (said.has(reason)) return
    said.set(reason, true)
    log.warn(
      { reason },
      'OpenTelemetry is in trouble; requests are served all the same, and what cannot be sent is lost',
    )
  }
  const ignore = () => {}
  return { error: say, warn: say, info: ignore, debug: ignore, verbose: ignore }
}

/** Errors come as JSON, with their stacks. */
function reasonIn(message: string): string {
  let reason = message
  try {
    const { message: said, code } = JSON.parse(message) as { message?: unknown; code?: unknown }
    reason = [said, code].filter((it) => typeof it === 'string' && it !== '').join(' ') || message
  } catch {}
  return reason
}
