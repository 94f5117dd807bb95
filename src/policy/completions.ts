/** `POST /v1/completions`: the context goes before every prompt. Called by the pipeline through `surfaces.ts`. */
import type { ChatMessage } from '../domain/sample.ts'
import { type Splice, startsWith } from './inject.ts'
import { JsonScanner, type TextSpot } from './json-scanner.ts'
import type { PreparedPolicy } from './prepare.ts'
import { CommonMembers, CommonRequest, type DecodedRequest, notApplicable, parsePart } from './surface.ts'

/** The prompts' places, or why there are none. */
type Prompts = readonly TextSpot[] | 'missing' | 'tokens'

/** @throws BallastError `ballast_malformed_body`. */
export function decodeCompletions(body: Buffer): DecodedRequest {
  const common = new CommonMembers()
  const scanner = new JsonScanner(body)
  let prompts: Prompts = 'missing'
  scanner.document((key) => {
    if (common.read(scanner, key)) return
    if (key === 'prompt') prompts = scanPrompts(scanner)
    else scanner.value()
  })
  common.requireModel()
  return new CompletionsRequest(body, common, prompts)
}

function scanPrompts(scanner: JsonScanner): Prompts {
  if (scanner.atText) return [scanner.string()]
  if (!scanner.atArray) {
    scanner.value()
    return 'missing'
  }
  const texts: TextSpot[] = []
  let others = 0
  scanner.array(() => {
    if (scanner.atText) texts.push(scanner.string())
    else {
      others++
      scanner.value()
    }
  })
  if (others > 0) return 'tokens'
  return texts.length === 0 ? 'missing' : texts
}

class CompletionsRequest extends CommonRequest {
  /** A prompt has no roles and no turns. */
  readonly systemAbsent = true
  readonly firstTurn = true
  private readonly prompts: Prompts

  constructor(body: Buffer, common: CommonMembers, prompts: Prompts) {
    super(body, common)
    this.prompts = prompts
  }

  plan(policy: PreparedPolicy): Splice[] {
    const { prompts, body } = this
    if (prompts === 'missing') throw notApplicable(policy, 'prompt', 'the request has no "prompt" of text')
    if (prompts === 'tokens') throw notApplicable(policy, 'prompt', 'its "prompt" is given as token ids')
    const { prefix, prefixBytes } = policy.prompt
    return prompts
      .filter((spot) => !startsWith(body, spot, prefix, prefixBytes))
      .map(({ start }) => ({ at: start, remove: 0, bytes: prefixBytes }))
  }

  messages(): ChatMessage[] | null {
    // The answer that is judged is the first choice, which goes with the first prompt.
    const [first] = typeof this.prompts === 'string' ? [] : this.prompts
    if (first === undefined) return null
    const content = parsePart(this.body, first.start - 1, first.end + 1)
    return content === null ? null : [{ role: 'user', content }]
  }
}
