/**
 * The fence that untrusted text stands in when it is put before a judge. The nonce is random for every prompt, so
 * the text cannot hold the line that closes its fence.
 */

export type FenceLabel = 'QUESTION' | 'CONVERSATION' | 'ANSWER'

/** @param nonce 32 hex digits that whoever wrote `text` could not know. */
export function fence(label: FenceLabel, text: string, nonce: string): string {
  return `<<<${label}:${nonce}\n${text}\n${label}:${nonce}>>>`
}

/** The text of the first fence of a label, or null. Stand-in judges read prompts with it. */
export function readFence(label: FenceLabel, prompt: string): string | null {
  const opening = new RegExp(`<<<${label}:([0-9a-f]{32})\n`).exec(prompt)
  if (opening === null) return null
  const start = opening.index + opening[0].length
  const end = prompt.indexOf(`\n${label}:${opening[1]}>>>`, start)
  return end === -1 ? null : prompt.slice(start, end)
}
