/** The `JudgeModel` port on the `openai` package. Composed by `node/judging.ts` and `node/classifiers.ts`. */
import type { JudgeModel } from '../domain/ports.ts'
import type { OpenAIJudgeOptions } from './judge-openai-options.ts'

/** Nothing is loaded before the first question: the package takes a third of a second. */
export function createOpenAIJudge(options: OpenAIJudgeOptions): JudgeModel {
  let client: Promise<JudgeModel> | null = null
  const load = async () => (await import('./judge-openai-client.ts')).createClient(options)
  return {
    async ask(model, prompt, signal) {
      client ??= load()
      return await (await client).ask(model, prompt, signal)
    },
  }
}
