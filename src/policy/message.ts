/** Where the text of a message is. Shared by the surfaces that have messages: chat and responses. */
import type { JsonScanner, TextSpot } from './json-scanner.ts'

export interface MessageSpot {
  readonly role: string | null
  /** The `type` of an item of `/v1/responses`; null where there is none. */
  readonly type: string | null
  /** `string`: a JSON string; `parts`: an array of content parts; `none`: missing, null or anything else. */
  readonly content: 'string' | 'parts' | 'none'
  /** The string, or the text of the first text part; null when there is neither. */
  readonly firstText: TextSpot | null
  /** The string, or the text of the last text part. */
  readonly lastText: TextSpot | null
  /** Offsets after the `[` and at the `]` of content parts, 0 otherwise. */
  readonly partsStart: number
  readonly partsEnd: number
  readonly partsEmpty: boolean
}

/**
 * Reads the message object that comes next.
 * @param partType the `type` of a part that holds text: `text`, or `input_text` in `/v1/responses`.
 */
export function scanMessage(scanner: JsonScanner, partType: string): MessageSpot {
  let role: string | null = null
  let type: string | null = null
  let content: MessageSpot['content'] = 'none'
  let firstText: TextSpot | null = null
  let lastText: TextSpot | null = null
  let [partsStart, partsEnd, partsEmpty] = [0, 0, true]
  scanner.object((key) => {
    if (key === 'role') role = scanner.textOrNull()
    else if (key === 'type') type = scanner.textOrNull()
    else if (key === 'content') {
      content = 'none'
      firstText = null
      lastText = null
      if (scanner.atText) {
        content = 'string'
        firstText = scanner.string()
        lastText = firstText
      } else if (scanner.atArray) {
        content = 'parts'
        partsStart = scanner.offset + 1
        partsEmpty = true
        scanner.array(() => {
          partsEmpty = false
          if (!scanner.atObject) return scanner.value()
          const text = scanTextPart(scanner, partType)
          if (text === null) return
          firstText ??= text
          lastText = text
        })
        partsEnd = scanner.offset - 1
      } else scanner.value()
    } else scanner.value()
  })
  return { role, type, content, firstText, lastText, partsStart, partsEnd, partsEmpty }
}

/** @returns where the text is if the part is `{"type": partType, "text": "…"}`, else null. */
function scanTextPart(scanner: JsonScanner, partType: string): TextSpot | null {
  let isText = false
  let text: TextSpot | null = null
  scanner.object((key) => {
    if (key === 'type') isText = scanner.textOrNull() === partType
    else if (key === 'text') {
      text = null
      if (scanner.atText) text = scanner.string()
      else scanner.value()
    } else scanner.value()
  })
  return isText ? text : null
}

/** What the messages of a conversation tell about it, told of each in turn. */
export class Turns {
  /** Whether no system or developer message was seen. */
  systemAbsent = true
  /** Whether the model had said nothing before the last user message; without one, whether it said nothing at all. */
  first = true
  private answered = false
  private asked = false

  see(role: string | null): void {
    if (role === 'user') {
      this.asked = true
      this.first = !this.answered
    } else if (role === 'system' || role === 'developer') this.systemAbsent = false
    else if (role === 'assistant') this.seeAnswer()
  }

  /** Something the model said or did. */
  seeAnswer(): void {
    this.answered = true
    if (!this.asked) this.first = false
  }
}
