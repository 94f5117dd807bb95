/**
 * `POST /v1/responses`: system placements go to `instructions`, user placements to the user items of `input`. Called
 * by the pipeline through `surfaces.ts`.
 */
import type { ChatMessage } from '../domain/sample.ts'
import { type Insertions, insertAfter, insertBefore, type Splice } from './inject.ts'
import { JsonScanner, type TextSpot } from './json-scanner.ts'
import { type MessageSpot, scanMessage, Turns } from './message.ts'
import type { PreparedPolicy, PreparedText } from './prepare.ts'
import {
  type ClientText,
  CommonMembers,
  CommonRequest,
  type DecodedRequest,
  messageTexts,
  notApplicable,
  parsePart,
} from './surface.ts'

const OPEN_BRACKET = 0x5b

/** `instructions`: its text, the place of its `null`, absent, or something it cannot be. */
type Instructions =
  | { readonly kind: 'text'; readonly text: TextSpot }
  | { readonly kind: 'null'; readonly at: number }
  | { readonly kind: 'absent' }
  | { readonly kind: 'other' }

interface Spots {
  instructions: Instructions
  /** The whole value of `input`; null when it is missing. */
  input: { readonly start: number; readonly end: number } | null
  firstUser: MessageSpot | null
  lastUser: MessageSpot | null
  turns: Turns
  /** Whether earlier turns are kept by the provider, so that the first user message is not in this request. */
  continued: boolean
  /** After the `{` of the request. */
  start: number
  empty: boolean
}

/** @throws BallastError `ballast_malformed_body`. */
export function decodeResponses(body: Buffer): DecodedRequest {
  const common = new CommonMembers()
  const scanner = new JsonScanner(body)
  const spots: Spots = {
    instructions: { kind: 'absent' },
    input: null,
    firstUser: null,
    lastUser: null,
    turns: new Turns(),
    continued: false,
    start: body.indexOf('{') + 1,
    empty: true,
  }
  // Either of them continues a conversation; of duplicates the last one counts.
  const continuing: Record<string, boolean> = {}
  scanner.document((key) => {
    spots.empty = false
    if (common.read(scanner, key)) return
    if (key === 'instructions') spots.instructions = scanInstructions(scanner)
    else if (key === 'input') scanInput(scanner, spots)
    else {
      const continues = key === 'previous_response_id' || key === 'conversation'
      if (continues && scanner.atText) continuing[key] = scanner.text() !== ''
      else {
        if (continues) continuing[key] = !scanner.atNull
        scanner.value()
      }
    }
  })
  common.requireModel()
  spots.continued = Object.values(continuing).includes(true)
  return new ResponsesRequest(body, common, spots)
}

function scanInstructions(scanner: JsonScanner): Instructions {
  if (scanner.atText) return { kind: 'text', text: scanner.string() }
  const instructions: Instructions = scanner.atNull ? { kind: 'null', at: scanner.offset } : { kind: 'other' }
  scanner.value()
  return instructions
}

function scanInput(scanner: JsonScanner, spots: Spots): void {
  const start = scanner.offset
  spots.firstUser = null
  spots.lastUser = null
  spots.turns = new Turns()
  if (scanner.atText) {
    const text = scanner.string()
    const message = asMessage(text)
    spots.firstUser = message
    spots.lastUser = message
  } else if (scanner.atArray) {
    scanner.array(() => {
      if (!scanner.atObject) return scanner.value()
      const item = scanMessage(scanner, 'input_text')
      // What is no message the model did: a call, its result, its reasoning, a reference to any of them.
      const said = isMessage(item.type)
      if (said) spots.turns.see(item.role)
      else spots.turns.seeAnswer()
      if (item.role !== 'user' || !said) return
      spots.firstUser ??= item
      spots.lastUser = item
    })
  } else scanner.value()
  spots.input = { start, end: scanner.offset }
}

function isMessage(type: string | null): boolean {
  return type === null || type === 'message'
}

/** A bare string, as the message it stands for. */
function asMessage(text: TextSpot): MessageSpot {
  return {
    role: 'user',
    type: null,
    content: 'string',
    firstText: text,
    lastText: text,
    partsStart: 0,
    partsEnd: 0,
    partsEmpty: true,
  }
}

class ResponsesRequest extends CommonRequest {
  private readonly spots: Spots

  constructor(body: Buffer, common: CommonMembers, spots: Spots) {
    super(body, common)
    this.spots = spots
  }

  get systemAbsent(): boolean {
    const { kind } = this.spots.instructions
    return (kind === 'absent' || kind === 'null') && this.spots.turns.systemAbsent
  }

  get firstTurn(): boolean {
    return !this.spots.continued && this.spots.turns.first
  }

  plan(policy: PreparedPolicy): Splice[] {
    const insertions: Insertions = { body: this.body, splices: [], partType: 'input_text' }
    this.planInstructions(policy, insertions)
    this.planUser(policy, insertions)
    return insertions.splices.sort((a, b) => a.at - b.at)
  }

  private planInstructions(policy: PreparedPolicy, insertions: Insertions): void {
    const { system } = policy
    if (system === null) return
    const { instructions, start, empty } = this.spots
    const text = `"${system.alone.textBytes.toString('utf8')}"`
    switch (instructions.kind) {
      case 'text': {
        const message = asMessage(instructions.text)
        if (system.before !== null) insertBefore(insertions, message, system.before, true)
        if (system.after !== null) insertAfter(insertions, message, system.after)
        return
      }
      case 'null':
        insertions.splices.push({ at: instructions.at, remove: 'null'.length, bytes: Buffer.from(text) })
        return
      case 'absent':
        insertions.splices.push({
          at: start,
          remove: 0,
          bytes: Buffer.from(`"instructions":${text}${empty ? '' : ','}`),
        })
        return
      case 'other':
        throw notApplicable(policy, 'instructions', '"instructions" is not text')
    }
  }

  private planUser(policy: PreparedPolicy, insertions: Insertions): void {
    const { firstUser, lastUser, continued } = this.spots
    // The first user message of a continued conversation went to the provider in an earlier request.
    const first = continued ? null : policy.user.first
    const { last } = policy.user
    if (first === null && last === null) return
    if (firstUser === null || lastUser === null) {
      // A turn that only returns the results of tools.
      if (continued) return
      throw notApplicable(policy, 'input', 'its "input" has no user message')
    }
    const put = (message: MessageSpot, text: PreparedText | null, which: string) => {
      if (text === null) return
      if (message.content === 'none') {
        throw notApplicable(policy, 'input', `the ${which} user message has no content`)
      }
      insertBefore(insertions, message, text, false)
    }
    if (firstUser === lastUser) return put(firstUser, first === null ? last : policy.user.both, 'first')
    put(firstUser, first, 'first')
    put(lastUser, last, 'last')
  }

  texts(): ClientText[] {
    const { instructions, input, firstUser } = this.spots
    const texts: ClientText[] =
      instructions.kind === 'text' ? [{ spot: instructions.text, role: 'system', message: 0 }] : []
    if (input === null) return texts
    const first = this.body[input.start]
    if (first === OPEN_BRACKET) texts.push(...messageTexts(this.body, input.start, 'input_text', isMessage))
    else if (firstUser?.firstText) texts.push({ spot: firstUser.firstText, role: 'user', message: 1 })
    return texts
  }

  messages(): ChatMessage[] | null {
    const { input, instructions } = this.spots
    const given = input === null ? null : parsePart(this.body, input.start, input.end)
    if (given === null) return null
    const items =
      typeof given === 'string' ? [{ role: 'user', content: given }] : Array.isArray(given) ? given : []
    const messages = items.filter((it): it is ChatMessage => typeof it === 'object' && it !== null)
    if (instructions.kind !== 'text') return messages
    const content = parsePart(this.body, instructions.text.start - 1, instructions.text.end + 1)
    return [{ role: 'system', content }, ...messages]
  }
}
