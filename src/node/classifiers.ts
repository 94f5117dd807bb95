/**
 * The models that tell requests of a training's domain, over the configurations that follow each other: asked as the judge
 * is, each through its own upstream. One whose settings stay remembers what it was told. Used by `snapshot.ts`.
 */
import { isDeepStrictEqual } from 'node:util'
import { createOpenAIJudge } from '../adapters/judge-openai.ts'
import type { JudgeFetch } from '../adapters/judge-openai-options.ts'
import type { Config } from '../config/load.ts'
import type { DomainClassifier, Log, Metrics } from '../domain/ports.ts'
import { type DomainClassifierOptions, ModelDomainClassifier } from '../pipeline/domain-classifier.ts'
import type { CreateClassifier } from '../policy/training.ts'

/** Yes or no takes no more. */
const MAX_TOKENS = 16

export interface ClassifiersDeps {
  /** How they are asked; default the runtime's own. */
  readonly fetch?: JudgeFetch
  readonly metrics: Metrics
  readonly log: Log
}

/** What a classifier is made of. */
interface Settings {
  readonly options: DomainClassifierOptions
  readonly baseUrl: string
  readonly apiKey: string | null
  readonly headers: Readonly<Record<string, string>>
}

export class Classifiers {
  private readonly made: { readonly settings: Settings; readonly classifier: DomainClassifier }[] = []
  private readonly config: Pick<Config, 'upstreams'>
  private readonly deps: ClassifiersDeps
  private readonly previous: Classifiers['made']

  /** @param previous those of the configuration in force. */
  constructor(config: Pick<Config, 'upstreams'>, deps: ClassifiersDeps, previous: Classifiers | null) {
    this.config = config
    this.deps = deps
    this.previous = previous?.made ?? []
  }

  readonly create: CreateClassifier = (route, { upstream, model, prompt, timeout }, contexts) => {
    const { base_url: baseUrl, api_key: key, headers } = this.config.upstreams[upstream]!
    const options = { route, model, prompt, timeout, contexts }
    const settings: Settings = { options, baseUrl, apiKey: key ?? null, headers: headers.set }
    const kept = this.previous.find((it) => isDeepStrictEqual(it.settings, settings))
    const classifier = kept?.classifier ?? this.make(settings)
    this.made.push({ settings, classifier })
    return classifier
  }

  private make({ options, baseUrl, apiKey, headers }: Settings): DomainClassifier {
    const { timeout } = options
    const { fetch, ...deps } = this.deps
    const reply = { maxTokens: MAX_TOKENS, logprobs: false }
    const asked = createOpenAIJudge({
      baseUrl,
      apiKey,
      headers,
      timeout,
      ...reply,
      name: 'classifier',
      ...(fetch === undefined ? {} : { fetch }),
    })
    return new ModelDomainClassifier(options, { asked, ...deps })
  }
}
