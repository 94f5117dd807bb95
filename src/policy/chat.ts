/** `POST /v1/chat/completions`: where the contexts go. Called by the pipeline through `surfaces.ts`. */
import type { ChatMessage } from '../domain/sample.ts'
import { type Insertions, insertAfter, insertBefore, type Splice } from './inject.ts'
import { JsonScanner } from './json-scanner.ts'
import { type MessageSpot, scanMessage, Turns } from './message.ts'
import type { PreparedPolicy, PreparedText } from './prepare.ts'
import { CommonMembers, CommonRequest, type DecodedRequest, notApplicable, parsePart } from './surface.ts'

interface MessagesSpot {
  /** Offsets after the `[` and at the `]`. */
  readonly start: number
  readonly end: number
  readonly empty: boolean
  readonly first: MessageSpot | null
  readonly firstUser: MessageSpot | null
  readonly lastUser: MessageSpot | null
  readonly systemAbsent: boolean
  readonly firstTurn: boolean
}

/** @throws BallastError `ballast_malformed_body`. */
export function decodeChat(body: Buffer): DecodedRequest {
  const common = new CommonMembers()
  const scanner = new JsonScanner(body)
  let messages: MessagesSpot | null = null
  scanner.document((key) => {
    if (common.read(scanner, key)) return
    if (key !== 'messages') return scanner.value()
    messages = null
    if (scanner.atArray) messages = scanMessages(scanner)
    else scanner.value()
  })
  common.requireModel()
  return new ChatRequest(body, common, messages)
}

function scanMessages(scanner: JsonScanner): MessagesSpot {
  const start = scanner.offset + 1
  let first: MessageSpot | null = null
  let firstUser: MessageSpot | null = null
  let lastUser: MessageSpot | null = null
  let count = 0
  const turns = new Turns()
  scanner.array(() => {
    const isFirst = count++ === 0
    if (!scanner.atObject) return scanner.value()
    const message = scanMessage(scanner, 'text')
    if (isFirst) first = message
    turns.see(message.role)
    if (message.role !== 'user') return
    firstUser ??= message
    lastUser = message
  })
  const { systemAbsent, first: firstTurn } = turns
  return {
    start,
    end: scanner.offset - 1,
    empty: count === 0,
    first,
    firstUser,
    lastUser,
    systemAbsent,
    firstTurn,
  }
}

class ChatRequest extends CommonRequest {
  private readonly spots: MessagesSpot | null

  constructor(body: Buffer, common: CommonMembers, spots: MessagesSpot | null) {
    super(body, common)
    this.spots = spots
  }

  get systemAbsent(): boolean {
    return this.spots?.systemAbsent ?? true
  }

  get firstTurn(): boolean {
    return this.spots?.firstTurn ?? true
  }

  plan(policy: PreparedPolicy): Splice[] {
    const { body, spots } = this
    if (spots === null) throw notApplicable(policy, 'messages', 'the request has no list of "messages"')
    const insertions: Insertions = { body, splices: [], partType: 'text' }
    this.planSystem(policy, spots, insertions)
    this.planUser(policy, spots, insertions)
    return insertions.splices.sort((a, b) => a.at - b.at)
  }

  private planSystem(policy: PreparedPolicy, spots: MessagesSpot, insertions: Insertions): void {
    const { system } = policy
    if (system === null) return
    const { first } = spots
    if (first?.role !== 'system' && first?.role !== 'developer') {
      const bytes = spots.empty ? system.message : system.messageThenComma
      insertions.splices.push({ at: spots.start, remove: 0, bytes })
      return
    }
    if (first.content === 'none') {
      throw notApplicable(
        policy,
        'messages',
        `the leading ${first.role} message has no content to merge with`,
      )
    }
    // Without a text to stand around, what goes before and after it goes together.
    if (first.firstText === null) return insertBefore(insertions, first, system.alone, true)
    if (system.before !== null) insertBefore(insertions, first, system.before, true)
    if (system.after !== null) insertAfter(insertions, first, system.after)
  }

  private planUser(
    policy: PreparedPolicy,
    { firstUser, lastUser }: MessagesSpot,
    insertions: Insertions,
  ): void {
    const { first, last, both } = policy.user
    if (first === null && last === null) return
    if (firstUser === null || lastUser === null) {
      throw notApplicable(policy, 'messages', 'the request has no user message')
    }
    const put = (message: MessageSpot, text: PreparedText | null, which: string) => {
      if (text === null) return
      if (message.content === 'none') {
        throw notApplicable(policy, 'messages', `the ${which} user message has no content`)
      }
      insertBefore(insertions, message, text, false)
    }
    if (firstUser === lastUser) return put(firstUser, both, 'first')
    put(firstUser, first, 'first')
    put(lastUser, last, 'last')
  }

  messages(): ChatMessage[] | null {
    if (this.spots === null) return null
    const parsed = parsePart(this.body, this.spots.start - 1, this.spots.end + 1) as unknown[] | null
    return parsed?.filter((it): it is ChatMessage => typeof it === 'object' && it !== null) ?? null
  }
}
