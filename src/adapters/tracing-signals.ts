/** Which of OpenTelemetry's signals the environment asks for. Read by `tracing.ts` and `tracing-otel.ts`. */

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
