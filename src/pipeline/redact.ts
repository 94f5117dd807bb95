/** Takes what is personal or secret out of a sample before it is stored. Called by `record.ts`. */
import type { Redactor } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'

/** Texts of a sample. */
type Texts = Pick<Sample, 'messages' | 'question' | 'answer'>

/**
 * @returns the sample with every text in its messages, question and answer redacted: arguments of tools and unknown
 *   fields included, names of fields not.
 */
export async function redactSample<S extends Texts>(sample: S, redactor: Redactor): Promise<S> {
  const { messages, question, answer } = sample
  const found = new Set<string>()
  replaceTexts([messages, question, answer], (text) => {
    found.add(text)
    return text
  })
  const texts = [...found]
  const redacted = await redactor.redact(texts)
  const marked = new Map(texts.map((text, index) => [text, redacted[index]!]))
  const replace = <T>(value: T): T => replaceTexts(value, (text) => marked.get(text)!)
  return { ...sample, messages: replace(messages), question: replace(question), answer: replace(answer) }
}

/** A JSON value with every string in it replaced. */
function replaceTexts<T>(value: T, replace: (text: string) => string): T {
  const walk = (it: unknown): unknown => {
    if (typeof it === 'string') return replace(it)
    if (Array.isArray(it)) return it.map(walk)
    if (typeof it !== 'object' || it === null) return it
    return Object.fromEntries(Object.entries(it).map(([name, field]) => [name, walk(field)]))
  }
  return walk(value) as T
}
