/**
 * Makes text that somebody else wrote fit to stand in a judge's prompt: nothing in it is invisible, no chat template
 * takes a piece of it for its own, and it is no longer than it may be. Pure; called by `prompt.ts`.
 */

/**
 * Characters that show nothing, or change how others show: controls other than tab and line end (a CR only before LF),
 * lone surrogates, line and paragraph separators, bidi controls, everything Unicode calls default-ignorable (zero-width
 * characters, tags, variation selectors, fillers) and interlinear annotation.
 */
const INVISIBLE = String.raw`[[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]--[\t\n\r]]|\r(?!\n)`

/** Of these, what scripts and emoji cannot do without: joiners between letters or pictures, an emoji's selector. */
const LETTER = String.raw`[[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F]--\p{ASCII}]`
const NEEDED = String.raw`(?<=${LETTER})[\u200C\u200D](?=${LETTER})|(?<=\p{Emoji})[\uFE0E\uFE0F]`

/** Special tokens of ChatML, Llama, Mistral, Gemma, DeepSeek, Phi, Harmony, BERT and their kin, by how they are bracketed. */
const ANGLED =
  's|bos|eos|pad|unk|mask|think(?:ing)?|tool_call|tool_response|(?:start|end)_of_\\w+|turn|extra_id_\\d+|unused\\d+'
const SQUARE =
  'INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|THINK|IMG|[gs]?MASK|CLS|SEP|PAD|UNK|BOS|EOS'
/**
 * Where such a token begins. Servers that render a chat template and then tokenise all of it take such a text for the
 * token itself, wherever it stands.
 */
const TEMPLATE_TOKEN = String.raw`<(?=[\|\uFF5C]|\w+[\|\uFF5C]>|\/?(?:${ANGLED})>|<\/?SYS>>)|\[(?=\/?(?:${SQUARE})\])`

/** Two groups, what is invisible and a token's beginning; what is needed is matched first, and by neither. */
const SPECIAL = `${NEEDED}|(${INVISIBLE})|(${TEMPLATE_TOKEN})`
const SPECIALS = new RegExp(SPECIAL, 'gv')
const PIECES = new RegExp(`${SPECIAL}|[^]`, 'gv')

/**
 * @param limit how many UTF-16 units may stand there; half of them are the beginning, half the end.
 * @param nonce unknown to whoever wrote the text, so that it cannot make up the mark of a cut.
 */
export function showUntrusted(text: string, limit: number, nonce: string): string {
  if (text.length <= limit) {
    const whole = text.replace(SPECIALS, show)
    if (whole.length <= limit) return whole
  }
  const [first, last] = [Math.ceil(limit / 2), Math.floor(limit / 2)]
  const head = fill(pieces(text.slice(0, wholeAt(text, first))), first)
  const tail = fill([...pieces(text.slice(wholeAt(text, text.length - last)))].reverse(), last)
  const left = text.length - head.taken - tail.taken
  return `${head.shown.join('')}\n[${left} characters left out here:${nonce}]\n${tail.shown.reverse().join('')}`
}

function show(piece: string, invisible?: string, token?: string): string {
  if (invisible !== undefined) return `\\u{${piece.codePointAt(0)!.toString(16)}}`
  return token === undefined ? piece : `${piece}\\`
}

interface Piece {
  readonly length: number
  readonly shown: string
}

function* pieces(text: string): Generator<Piece> {
  for (const [piece, invisible, token] of text.matchAll(PIECES)) {
    yield { length: piece.length, shown: show(piece, invisible, token) }
  }
}

/** Takes pieces as long as they fit. */
function fill(from: Iterable<Piece>, room: number): { shown: string[]; taken: number } {
  const shown: string[] = []
  let taken = 0
  for (const piece of from) {
    room -= piece.shown.length
    if (room < 0) break
    shown.push(piece.shown)
    taken += piece.length
  }
  return { shown, taken }
}

/** The nearest place at or before `at` that is not within a surrogate pair. */
function wholeAt(text: string, at: number): number {
  return /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(at - 1, at + 1)) ? at - 1 : at
}
