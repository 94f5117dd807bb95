/**
 * The words that stand in every request, known by their bytes: to read one takes 10 ns, to decode a string from a buffer
 * 100, and a request holds dozens of them. Asked by `json-scanner.ts`.
 */

const WORDS = [
  ...['role', 'content', 'type', 'text', 'input_text', 'image_url', 'url', 'name'],
  ...['user', 'assistant', 'system', 'developer', 'tool', 'message'],
  ...['model', 'messages', 'stream', 'stream_options', 'temperature', 'top_p', 'seed', 'stop', 'n'],
  ...['max_tokens', 'max_completion_tokens', 'tools', 'tool_choice', 'response_format', 'metadata', 'store'],
  ...['instructions', 'input', 'prompt', 'reasoning', 'reasoning_effort', 'safety_identifier'],
]

interface Word {
  readonly text: string
  readonly bytes: Buffer
}

/** By length, first and last byte, which tell almost all of them apart. */
const byShape = new Map<number, Word[]>()
for (const text of WORDS) {
  const bytes = Buffer.from(text)
  const shape = shapeOf(bytes, 0, bytes.length)
  byShape.set(shape, [...(byShape.get(shape) ?? []), { text, bytes }])
}

function shapeOf(body: Buffer, start: number, end: number): number {
  return ((end - start) << 16) | (body[start]! << 8) | body[end - 1]!
}

/** @returns the word that stands from `start` to `end`, or null if it is none of these. */
export function knownWord(body: Buffer, start: number, end: number): string | null {
  const words = byShape.get(shapeOf(body, start, end))
  if (words === undefined) return null
  for (const { text, bytes } of words) {
    let at = 0
    while (at < bytes.length && bytes[at] === body[start + at]) at++
    if (at === bytes.length) return text
  }
  return null
}
