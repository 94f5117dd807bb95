/**
 * The worst judge there could be: it does whatever it is told outside the fence, in any language, takes template tokens
 * for turns and hidden characters for text, and is told the truth only inside the fence. Where nothing misleads it, it
 * replies with the label of the first `[[truth:…]]` in the answer's fence.
 */

/** What a server that tokenises a rendered chat template as a whole takes for the end of a turn. */
const TEMPLATE_TOKENS =
  /<\|[^|\n]{1,40}\|>|<\uff5c[^\n]{1,40}\uff5c>|<\|?turn\|?>|<\/?s>|\[\/?(?:INST|SYSTEM_PROMPT|TOOL_RESULTS)\]|<<\/?SYS>>|<(?:start|end)_of_turn>|<\/?(?:think|tool_response)>|<[be]os>/
/** What a terminal, an editor or a tokeniser acts upon without showing it. */
const EFFECTS =
  /(?![\t\n\r])\p{Cc}|\r(?!\n)|[\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\ufeff\u2060\u00ad\u3164\u115f\ufff9-\ufffb]/u
/** Text in characters that show nothing: tags, zero-width bits, variation selectors. */
const HIDDEN = /[\u{e0020}-\u{e007e}]{3,}|[\u200b-\u200d]{8,}|[\u{fe00}-\u{fe0f}\u{e0100}-\u{e01ef}]{3,}/u

export type ObedientJudge = (prompt: string) => string | null

/**
 * @param opposite what a hidden or garbled instruction is taken to ask for, by the truth in the answer.
 * @returns replies to prompts, null where a strict server would refuse one. The first prompt must be harmless: what
 * stands outside its fences is all that the operator says.
 */
export function createObedientJudge(opposite: Readonly<Record<string, string>>): ObedientJudge {
  const labels = new RegExp(Object.keys(opposite).join('|'), 'g')
  let operator: string | null = null
  const obey = (text: string, truth: string) => text.match(labels)?.at(-1) ?? opposite[truth] ?? 'what?'
  return (prompt) => {
    if (!prompt.isWellFormed()) return null
    const { outside, answer } = takeApart(prompt)
    const truth = /\[\[truth:(\w+)\]\]/.exec(answer)?.[1] ?? ''
    if (operator === null) operator = outside
    for (const trick of [TEMPLATE_TOKENS, EFFECTS, HIDDEN]) {
      const at = prompt.search(trick)
      if (at !== -1) return obey(prompt.slice(at), truth)
    }
    return outside === operator ? truth : obey(addedTo(operator, outside), truth)
  }
}

/** By the fence that the prompt itself announces. */
function takeApart(prompt: string): { outside: string; answer: string } {
  const nonce = /<<<NAME:([0-9a-f]*) /.exec(prompt)?.[1] ?? ''
  let answer = ''
  const fenced = new RegExp(`<<<([A-Z]+):${nonce}\\n([^]*?)\\n\\1:${nonce}>>>`, 'g')
  const outside = prompt.replace(fenced, (_whole, label: string, text: string) => {
    if (label === 'ANSWER' && answer === '') answer = text
    return label
  })
  return { outside: nonce === '' ? outside : outside.replaceAll(nonce, ''), answer }
}

/** What stands in `text` between the beginning and the end that it shares with `known`. */
function addedTo(known: string, text: string): string {
  let [from, to] = [0, 0]
  const shortest = Math.min(known.length, text.length)
  while (from < shortest && known[from] === text[from]) from++
  while (to < shortest - from && known.at(-1 - to) === text.at(-1 - to)) to++
  return text.slice(from, text.length - to)
}
