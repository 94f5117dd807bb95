/** An OTLP/HTTP receiver on port 0: takes what OpenTelemetry's exporters send as JSON, and keeps it by signal. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

type Value = string | number | boolean | readonly Value[]
export type Attributes = Readonly<Record<string, Value>>

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly attributes: Attributes
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[]
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number
  readonly service: string
}

export interface ReceivedEvent {
  readonly name: string
  readonly traceId: string | undefined
  readonly spanId: string | undefined
  readonly attributes: Attributes
}

export interface ReceivedHistogram {
  readonly name: string
  readonly unit: string
  readonly bounds: readonly number[]
  readonly points: readonly {
    readonly attributes: Attributes
    readonly count: number
    readonly sum: number
  }[]
}

interface Typed {
  readonly stringValue?: string
  readonly intValue?: string | number
  readonly doubleValue?: number
  readonly boolValue?: boolean
  readonly arrayValue?: { readonly values: readonly Typed[] }
}
type Pairs = readonly { readonly key: string; readonly value: Typed }[]

/** Of OTLP's JSON what is read here. */
interface Sent {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: Pairs }
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[]
  }[]
  readonly resourceLogs?: readonly {
    readonly scopeLogs: readonly { readonly logRecords: readonly SentRecord[] }[]
  }[]
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly { readonly metrics: readonly SentMetric[] }[]
  }[]
}
interface SentSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: Pairs
  readonly events?: readonly { readonly name: string; readonly attributes: Pairs }[]
  readonly status?: { readonly code?: number }
}
interface SentRecord {
  readonly eventName: string
  readonly traceId?: string
  readonly spanId?: string
  readonly attributes: Pairs
}
interface SentMetric {
  readonly name: string
  readonly unit: string
  readonly histogram?: {
    readonly dataPoints: readonly {
      readonly explicitBounds: readonly number[]
      readonly attributes: Pairs
      readonly count: string | number
      readonly sum: number
    }[]
  }
}

function plain({ stringValue, intValue, doubleValue, boolValue, arrayValue }: Typed): Value {
  if (arrayValue !== undefined) return arrayValue.values.map(plain)
  if (intValue !== undefined) return Number(intValue)
  return stringValue ?? doubleValue ?? boolValue ?? ''
}

function attributesOf(pairs: Pairs = []): Attributes {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, plain(value)]))
}

/** @param status of its answers. */
export async function startOtlpReceiver(status = 200) {
  const bodies: { path: string; type: string; text: string }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      bodies.push({
        path: request.url!,
        type: request.headers['content-type'] ?? '',
        text: Buffer.concat(chunks).toString(),
      })
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const sent = (path: string) =>
    bodies.filter((body) => body.path === path).map(({ text }) => JSON.parse(text) as Sent)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    /** All that came, as text. */
    text: () => bodies.map(({ text }) => text).join('\n'),
    spans(): ReceivedSpan[] {
      return sent('/v1/traces')
        .flatMap(({ resourceSpans = [] }) => resourceSpans)
        .flatMap(({ resource, scopeSpans }) => {
          const service = String(attributesOf(resource.attributes)['service.name'])
          return scopeSpans.flatMap(({ spans }) => spans.map((span) => spanOf(span, service)))
        })
    },
    events(): ReceivedEvent[] {
      return sent('/v1/logs')
        .flatMap(({ resourceLogs = [] }) => resourceLogs)
        .flatMap(({ scopeLogs }) => scopeLogs)
        .flatMap(({ logRecords }) => logRecords)
        .map(({ eventName: name, traceId, spanId, attributes }) => ({
          ...{ name, traceId, spanId },
          attributes: attributesOf(attributes),
        }))
    },
    histograms(): ReceivedHistogram[] {
      return sent('/v1/metrics')
        .flatMap(({ resourceMetrics = [] }) => resourceMetrics)
        .flatMap(({ scopeMetrics }) => scopeMetrics)
        .flatMap(({ metrics }) => metrics)
        .flatMap(({ name, unit, histogram }) => {
          const [first, ...others] = histogram?.dataPoints ?? []
          if (first === undefined) return []
          const points = [first, ...others].map(({ attributes, count, sum }) => ({
            attributes: attributesOf(attributes),
            count: Number(count),
            sum,
          }))
          return [{ name, unit, bounds: first.explicitBounds, points }]
        })
    },
  }
}

function spanOf(span: SentSpan, service: string): ReceivedSpan {
  return {
    ...span,
    parentSpanId: span.parentSpanId || undefined,
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map(({ name, attributes }) => ({
      name,
      attributes: attributesOf(attributes),
    })),
    status: span.status?.code ?? 0,
    service,
  }
}

/** The environment of a ballast that sends there, soon. */
export function otlpEnvironment(url: string): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '50',
    OTEL_BLRP_SCHEDULE_DELAY: '50',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_METRIC_EXPORT_TIMEOUT: '200',
  }
}
