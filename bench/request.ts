/**
 * The requests of the benchmark. Each is another exchange, as in production: two numbers of fixed width are put in, so
 * that units recur while questions do not, and the rest is the same bytes each time.
 */

export type BodyKind = 'chat' | 'history' | 'image'

export interface Wish {
  readonly body: BodyKind
  /** About so many bytes. */
  readonly size: number
  /** What the upstream is asked for: `delay=50`, `chunks=64,gap=10`; empty: JSON at once. */
  readonly bench: string
}

/** A request as text with two gaps: `pieces[0] + id + pieces[1] + unit + pieces[2]`. */
export interface Template {
  readonly pieces: readonly [string, string, string]
  readonly bytes: number
}

export const ID_WIDTH = 12
export const UNIT_WIDTH = 6
/** So many users. */
export const UNITS = 5_000
export const MODEL = 'ft:gpt-4.1-mini:bench'

const SENTENCE = 'The \\"blue\\" train leaves the old station at ten and is by the sea before noon.\\n'
const SYSTEM =
  'You are the assistant of a travel office. Answer briefly, in plain words, and name a price where you know one.'
const MESSAGE_BYTES = 1_000

/** @param headers lines without an end, such as `authorization: Bearer x`. */
export function makeTemplate(port: number, headers: readonly string[], wish: Wish): Template {
  const [front, middle, end] = bodyPieces(wish)
  const length = front.length + ID_WIDTH + middle.length + UNIT_WIDTH + end.length
  const lines = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'accept: application/json',
    'content-type: application/json',
    'user-agent: OpenAI/JS 6.9.1',
    'x-stainless-lang: js',
    'x-stainless-package-version: 6.9.1',
    'x-stainless-runtime: node',
    ...(wish.bench === '' ? [] : [`x-bench: ${wish.bench}`]),
    ...headers,
    `content-length: ${length}`,
  ]
  const head = `${lines.join('\r\n')}\r\n\r\n`
  return { pieces: [head + front, middle, end], bytes: head.length + length }
}

/** The body of the n-th request alone. */
export function makeBody(wish: Wish, n: number): Buffer {
  const [front, middle, end] = bodyPieces(wish)
  const [id, unit] = numbersOf(n)
  return Buffer.from(front + id + middle + unit + end)
}

function bodyPieces({ body, size, bench }: Wish): [string, string, string] {
  const text = (bytes: number) => SENTENCE.repeat(Math.max(1, Math.round(bytes / SENTENCE.length)))
  const stream = bench.includes('chunks=')
  const front = `{"model":"${MODEL}","messages":[{"role":"system","content":"${SYSTEM}"},`
  const end = `","temperature":0.7${stream ? ',"stream":true' : ''}}`
  const unit = '"}],"user":"user-'
  if (body === 'image') {
    const image = `data:image/png;base64,${'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf'.repeat(Math.ceil(size / 40))}`
    const parts = `{"type":"image_url","image_url":{"url":"${image}"}},{"type":"text","text":"What is this? `
    return [`${front}{"role":"user","content":[${parts}`, '"}]}],"user":"user-', end]
  }
  const messages = body === 'chat' ? 2 : Math.round(size / MESSAGE_BYTES / 2) * 2
  const each = (size - SYSTEM.length - 200) / (messages + 1)
  const turns = Array.from(
    { length: messages },
    (_, index) => `{"role":"${index % 2 === 0 ? 'user' : 'assistant'}","content":"${text(each)}"},`,
  )
  return [`${front}${turns.join('')}{"role":"user","content":"${text(each)} `, unit, end]
}

/** The two numbers of the n-th request. */
export function numbersOf(n: number): [id: string, unit: string] {
  return [String(n).padStart(ID_WIDTH, '0'), String(n % UNITS).padStart(UNIT_WIDTH, '0')]
}
