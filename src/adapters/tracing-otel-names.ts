/**
 * Names of OpenTelemetry's semantic conventions that are not stable yet, as `@opentelemetry/semantic-conventions` 1.45 has
 * them: its own advice is to copy them, since any release may move them. `test/observability/names.test.ts` holds them to it.
 */

export const GEN_AI = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  requestStream: 'gen_ai.request.stream',
  requestTemperature: 'gen_ai.request.temperature',
  timeToFirstChunk: 'gen_ai.response.time_to_first_chunk',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  tokenType: 'gen_ai.token.type',
  evaluationName: 'gen_ai.evaluation.name',
  evaluationValue: 'gen_ai.evaluation.score.value',
  evaluationLabel: 'gen_ai.evaluation.score.label',
} as const

export const EVALUATION_RESULT = 'gen_ai.evaluation.result'

export const METRICS = {
  operationDuration: 'gen_ai.client.operation.duration',
  timeToFirstChunk: 'gen_ai.client.operation.time_to_first_chunk',
  tokenUsage: 'gen_ai.client.token.usage',
} as const

/** Stable ones. */
export const HTTP = {
  method: 'http.request.method',
  route: 'http.route',
  status: 'http.response.status_code',
  resendCount: 'http.request.resend_count',
  path: 'url.path',
  scheme: 'url.scheme',
  address: 'server.address',
  port: 'server.port',
  errorType: 'error.type',
} as const

/** Our own, for what the conventions have no word for. */
export const BALLAST = {
  request: 'ballast.request.id',
  route: 'ballast.route',
  experiment: 'ballast.experiment',
  arm: 'ballast.arm',
  policy: 'ballast.policy',
  upstream: 'ballast.upstream',
  attempts: 'ballast.upstream.attempts',
  sampled: 'ballast.sampled',
  checkVersion: 'ballast.check.version',
  rubric: 'ballast.rubric',
  probability: 'ballast.sample.probability',
  extra: 'ballast.sample.extra',
} as const

/** A span's event: the try before failed, and another one follows. */
export const RETRY_EVENT = 'ballast.upstream.retry'

/** `gen_ai.provider.name` by an upstream's host. */
const PROVIDERS: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)openai\.azure\.com$/, 'azure.ai.openai'],
  [/(^|\.)anthropic\.com$/, 'anthropic'],
  [/(^|\.)groq\.com$/, 'groq'],
  [/(^|\.)mistral\.ai$/, 'mistral_ai'],
  [/(^|\.)deepseek\.com$/, 'deepseek'],
  [/(^|\.)x\.ai$/, 'x_ai'],
  [/(^|\.)perplexity\.ai$/, 'perplexity'],
  [/(^|\.)cohere\.(ai|com)$/, 'cohere'],
  [/^generativelanguage\.googleapis\.com$/, 'gcp.gemini'],
  [/(^|[.-])aiplatform\.googleapis\.com$/, 'gcp.vertex_ai'],
  [/^bedrock[\w.-]*\.amazonaws\.com$/, 'aws.bedrock'],
]

/** Of a host that is none of these it is known that it speaks OpenAI's API, which is what the convention asks for then. */
export function providerOf(address: string): string {
  return PROVIDERS.find(([pattern]) => pattern.test(address))?.[1] ?? 'openai'
}
