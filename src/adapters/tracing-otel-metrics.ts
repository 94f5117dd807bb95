/** The histograms of the GenAI conventions, with the buckets that they advise. Made by `tracing-otel.ts`. */
import type { Attributes, Meter } from '@opentelemetry/api'
import { GEN_AI, METRICS } from './tracing-otel-names.ts'

const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const FIRST_CHUNK_SECONDS = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
]
const TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power)

export type Instruments = ReturnType<typeof createInstruments>

export function createInstruments(meter: Meter) {
  const duration = meter.createHistogram(METRICS.operationDuration, {
    unit: 's',
    description: 'GenAI operation duration.',
    advice: { explicitBucketBoundaries: SECONDS },
  })
  const firstChunk = meter.createHistogram(METRICS.timeToFirstChunk, {
    unit: 's',
    description: 'Time to receive the first chunk of a streamed answer.',
    advice: { explicitBucketBoundaries: FIRST_CHUNK_SECONDS },
  })
  const tokens = meter.createHistogram(METRICS.tokenUsage, {
    unit: '{token}',
    description: 'Number of input and output tokens used.',
    advice: { explicitBucketBoundaries: TOKENS },
  })
  return {
    /** @param ms of the whole operation. */
    operation(ms: number, attributes: Attributes): void {
      duration.record(ms / 1_000, attributes)
    },
    firstChunk(ms: number, attributes: Attributes): void {
      firstChunk.record(ms / 1_000, attributes)
    },
    tokens(type: 'input' | 'output', count: number, attributes: Attributes): void {
      tokens.record(count, { ...attributes, [GEN_AI.tokenType]: type })
    },
  }
}
