/** Says by the environment whether anything is traced, and loads what traces only then. Called by `ballast serve`, its back office and `ballast judge`. */
import type { Log } from '../domain/ports.ts'
import { noTracing, type Tracing } from '../domain/tracing.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export const SIGNALS = ['TRACES', 'METRICS', 'LOGS'] as const
export type Signal = (typeof SIGNALS)[number]

/**
 * The signals that OpenTelemetry's own variables ask for. Without them the SDK would send to a collector on this machine;
 * here nothing is sent that nobody asked for.
 */
export function signalsOf(environment: Environment): Signal[] {
  const said = (name: string) => (environment[name] ?? '').trim()
  if (said('OTEL_SDK_DISABLED').toLowerCase() === 'true') return []
  const all = said('OTEL_EXPORTER_OTLP_ENDPOINT') !== ''
  return SIGNALS.filter((signal) => {
    const exporter = said(`OTEL_${signal}_EXPORTER`)
    if (exporter === 'none') return false
    return all || exporter !== '' || said(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) !== ''
  })
}

/** @throws Error when a variable asks for something that there is not. */
export async function openTracing(environment: Environment, log: Log): Promise<Tracing> {
  const signals = signalsOf(environment)
  if (signals.length === 0) return noTracing
  const { startOtelTracing } = await import('./tracing-otel.ts')
  return startOtelTracing(signals, environment, log)
}
