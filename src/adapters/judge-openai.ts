/** The `JudgeModel` port on the `openai` package. Composed by `node/judging.ts` and `node/classifiers.ts`. */
import type { JudgeModel } from '../domain/ports.ts'
import type { OpenAIJudgeOptions } from './judge-openai-options.ts'

/** The package takes a third of a second to load: for those who ask, and better before there is something to do. */
export async function loadJudgeClient(): Promise<typeof import('./judge-openai-client.ts')> {
  return await import('./judge-openai-client.ts')
}

export function createOpenAIJudge(options: OpenAIJudgeOptions): JudgeModel {
  let client: Promise<JudgeModel> | null = null
  return {
    async ask(model, prompt, signal, headers) {
      client ??= loadJudgeClient().then(({ createClient }) => createClient(options))
      return await (await client).ask(model, prompt, signal, headers)
    },
  }
}
