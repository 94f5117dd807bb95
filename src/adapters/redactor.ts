/**
 * The `Redactor` port: finds what tells of a person or opens a door, by our own linear searches for what might be one
 * and libraries that know what is one. Offline. Composed by `node.ts`.
 */
import type { Redactor } from '../domain/ports.ts'
import type { Span } from './redactor-spans.ts'

export function createRedactor(): Redactor {
  return {
    async redact(texts) {
      // What they know takes long to load, and most never need it.
      const [{ findPersonal }, { findSecrets }] = await Promise.all([
        import('./redactor-personal.ts'),
        import('./redactor-secrets.ts'),
      ])
      const secrets = await findSecrets(texts)
      return texts.map((text, index) => replace(text, [...secrets[index]!, ...findPersonal(text)]))
    },
  }
}

/** Spans that overlap become one, under the mark of the one that begins first: nothing of either is left. */
function replace(text: string, spans: Span[]): string {
  if (spans.length === 0) return text
  spans.sort((a, b) => a.start - b.start || b.end - a.end)
  const parts: string[] = []
  let done = 0
  for (const { start, end, mark } of spans) {
    if (start >= done) parts.push(text.slice(done, start), `[${mark}]`)
    done = Math.max(done, end)
  }
  return [...parts, text.slice(done)].join('')
}
