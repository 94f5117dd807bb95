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

/** `a, b` -> a, b. */
export function wordsOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((it) => it.trim())
    .filter((it) => it !== '')
}

const EXPORTERS = ['otlp', 'console', 'none']
const WORDS: Readonly<Record<string, readonly string[]>> = {
  OTEL_TRACES_EXPORTER: EXPORTERS,
  OTEL_METRICS_EXPORTER: [...EXPORTERS, 'prometheus'],
  OTEL_LOGS_EXPORTER: EXPORTERS,
  ...Object.fromEntries(
    ['', '_TRACES', '_METRICS', '_LOGS'].map((it) => [
      `OTEL_EXPORTER_OTLP${it}_PROTOCOL`,
      ['grpc', 'http/protobuf', 'http/json'],
    ]),
  ),
  OTEL_TRACES_SAMPLER: [
    'always_on',
    'always_off',
    'traceidratio',
    'parentbased_always_on',
    'parentbased_always_off',
    'parentbased_traceidratio',
  ],
}

/**
 * What is wrong with the variables, where the SDK would take something else, such as a collector on this machine, and go on.
 * The address of a collector may hold a key and is not repeated.
 */
export function problemsIn(environment: Environment): string[] {
  const words = Object.entries(WORDS).flatMap(([name, known]) =>
    wordsOf(environment[name])
      .filter((it) => !known.includes(it))
      .map((it) => `${name}: there is no "${it}"; there are ${known.join(', ')}`),
  )
  const protocolOf = (signal: string) =>
    environment[`OTEL_EXPORTER_OTLP${signal}_PROTOCOL`] ?? environment.OTEL_EXPORTER_OTLP_PROTOCOL
  const addresses = ['', ...SIGNALS.map((it) => `_${it}`)].flatMap((signal) => {
    const name = `OTEL_EXPORTER_OTLP${signal}_ENDPOINT`
    const address = (environment[name] ?? '').trim()
    if (address === '' || protocolOf(signal) === 'grpc' || /^https?:$/.test(protocolIn(address))) return []
    return [`${name}: is no address such as http://127.0.0.1:4318`]
  })
  return [...words, ...addresses]
}

function protocolIn(address: string): string {
  return URL.canParse(address) ? new URL(address).protocol : ''
}
