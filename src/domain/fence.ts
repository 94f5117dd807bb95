/**
 * The fence that untrusted text stands in when it is put before a judge. The nonce is random for every prompt, so
 * the text cannot hold the line that closes its fence.
 */

export type FenceLabel = 'QUESTION' | 'CONVERSATION' | 'ANSWER'

/** @param nonce 32 hex digits that whoever wrote `text` could not know. */
export function fence(label: FenceLabel, text: string, nonce: string): string {
  return `<<<${label}:${nonce}\n${text}\n${label}:${nonce}>>>`
}

const FENCED = /<<<(QUESTION|CONVERSATION|ANSWER):([0-9a-f]{32})\n([\s\S]*?)\n\1:\2>>>/g

export interface FencedPrompt {
  /** What stands outside the fences: the operator's words. */
  readonly outside: string
  /** The first text of each label. */
  readonly texts: ReadonlyMap<FenceLabel, string>
}

/**
 * Takes a prompt apart, from the left, so that a fence which a fenced text makes up is not taken for one. Stand-in
 * judges read their prompts with it.
 */
export function readFences(prompt: string): FencedPrompt {
  const texts = new Map<FenceLabel, string>()
  const outside = prompt.replace(FENCED, (_whole, label: FenceLabel, _nonce, text: string) => {
    if (!texts.has(label)) texts.set(label, text)
    return ''
  })
  return { outside, texts }
}
