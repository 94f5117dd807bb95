/**
 * The corpus of the contract suite: what a client sends and what the provider answers, for every endpoint family.
 * Built from tables; each line is an exchange of its own. Used by `exchanges.test.ts` only.
 *
 * In the bodies of injected surfaces `@@` marks where the context belongs, `@P@` where a part of its own does; both are
 * gone from what is sent.
 */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'

/** `close`: the end of the connection ends the body. */
export type Framing = 'length' | 'chunked' | 'close'
export type Encoding = 'gzip' | 'br' | 'deflate' | 'zstd'
export type Header = readonly [name: string, value: string]

export interface ScriptedAnswer {
  readonly status: number
  readonly statusText?: string
  readonly headers: readonly Header[]
  /** As they are written, already compressed where `content-encoding` says so. */
  readonly chunks: readonly Buffer[]
  readonly framing: Framing
  /** Informational answers (102) before the answer itself. */
  readonly processing?: boolean
}

export interface Exchange {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly headers: readonly Header[]
  readonly body: Buffer
  readonly requestFraming: 'length' | 'chunked' | 'none'
  /** What reaches the upstream through a policy; `refused` where none can be applied; null off the surfaces. */
  readonly injected: Buffer | 'refused' | null
  readonly answer: ScriptedAnswer
  /** Whether each chunk must be at the client before the next is sent. */
  readonly paced: boolean
}

export const CONTEXT = "I'm an etymologist working for the Audubon Society."

const JSON_TYPE: Header = ['content-type', 'application/json']
const AUTHORIZATION: Header = ['authorization', 'Bearer sk-client']
const ID: Header = ['x-request-id', 'req_011CQ']

// --- answers ------------------------------------------------------------------------------------------------------

const PACK: Record<Encoding, (body: Buffer) => Buffer> = {
  gzip: (body) => gzipSync(body),
  br: (body) => brotliCompressSync(body),
  deflate: (body) => deflateSync(body),
  zstd: (body) => zstdCompressSync(body),
}

/** A way for an answer to travel. */
interface Transport {
  readonly framing: Framing
  readonly encoding?: Encoding
  /** In how many chunks it is written. */
  readonly pieces: number
}

const TRANSPORTS: readonly Transport[] = [
  { framing: 'length', pieces: 1 },
  { framing: 'length', encoding: 'gzip', pieces: 1 },
  { framing: 'chunked', pieces: 3 },
  { framing: 'chunked', encoding: 'br', pieces: 2 },
  { framing: 'chunked', encoding: 'gzip', pieces: 3 },
  { framing: 'close', pieces: 2 },
  { framing: 'length', encoding: 'br', pieces: 2 },
]

const describeTransport = ({ framing, encoding }: Transport) =>
  encoding === undefined ? framing : `${encoding}, ${framing}`

function slices(body: Buffer, count: number): Buffer[] {
  if (body.length === 0) return []
  const size = Math.max(1, Math.ceil(body.length / count))
  const result: Buffer[] = []
  for (let at = 0; at < body.length; at += size) result.push(body.subarray(at, at + size))
  return result
}

interface AnswerOptions {
  readonly status?: number
  readonly statusText?: string
  readonly headers?: readonly Header[]
  readonly type?: string | null
  readonly transport?: Transport
}

function answer(body: string | Buffer, options: AnswerOptions = {}): ScriptedAnswer {
  const { status = 200, headers = [], type = 'application/json', transport = TRANSPORTS[0]! } = options
  const { framing, encoding, pieces } = transport
  const plain = Buffer.from(body)
  const bytes = encoding === undefined ? plain : PACK[encoding](plain)
  return {
    status,
    ...(options.statusText === undefined ? {} : { statusText: options.statusText }),
    headers: [
      ...(type === null ? [] : [['content-type', type] as const]),
      ...(encoding === undefined ? [] : [['content-encoding', encoding] as const]),
      ...headers,
      ...(framing === 'length' ? [['content-length', String(bytes.length)] as const] : []),
    ],
    chunks: slices(bytes, pieces),
    framing,
  }
}

/** An event stream, written in these chunks. */
function events(
  chunks: readonly (string | Buffer)[],
  transport: Transport = { framing: 'chunked', pieces: 1 },
): ScriptedAnswer {
  const type: Header = ['content-type', 'text/event-stream; charset=utf-8']
  const headers = [type, ['cache-control', 'no-cache'] as const, ID]
  const bytes = chunks.map((chunk) => Buffer.from(chunk))
  if (transport.encoding === undefined && transport.framing !== 'length') {
    return { status: 200, headers, chunks: bytes, framing: transport.framing }
  }
  return answer(Buffer.concat(bytes), { type: type[1], headers: headers.slice(1), transport })
}

const sse = (data: unknown) => `data: ${JSON.stringify(data)}\n\n`
const named = (data: { type: string }) => `event: ${data.type}\n${sse(data)}`
const DONE = 'data: [DONE]\n\n'

// --- requests -----------------------------------------------------------------------------------------------------

interface RequestOptions {
  readonly headers?: readonly Header[]
  readonly framing?: Exchange['requestFraming']
  readonly paced?: boolean
}

/** @param template a body with the marks of injection, or null where no policy can be applied to `plain`. */
function onSurface(
  name: string,
  path: string,
  template: string | Buffer,
  answered: ScriptedAnswer,
  options: RequestOptions & { readonly refused?: boolean } = {},
): Exchange {
  const text = typeof template === 'string' ? template : template.toString('latin1')
  const encoding = typeof template === 'string' ? 'utf8' : 'latin1'
  const partType = path.includes('responses') ? 'input_text' : 'text'
  const part = `{"type":"${partType}","text":"${CONTEXT}"}`
  const plain = Buffer.from(text.replaceAll('@@', '').replace(/@P@,?/, ''), encoding)
  const withContext = Buffer.from(
    text.replaceAll('@@', `${CONTEXT} `).replace(/@P@(,?)/, `${part}$1`),
    encoding,
  )
  return {
    name,
    method: 'POST',
    path,
    headers: [AUTHORIZATION, JSON_TYPE, ...(options.headers ?? [])],
    body: plain,
    requestFraming: options.framing ?? 'length',
    injected: options.refused === true ? 'refused' : withContext,
    answer: answered,
    paced: options.paced ?? false,
  }
}

function elsewhere(
  name: string,
  method: string,
  path: string,
  body: string | Buffer | null,
  answered: ScriptedAnswer,
  options: RequestOptions = {},
): Exchange {
  return {
    name,
    method,
    path,
    headers: [
      AUTHORIZATION,
      ...(typeof body === 'string' && body !== '' ? [JSON_TYPE] : []),
      ...(options.headers ?? []),
    ],
    body: Buffer.from(body ?? ''),
    requestFraming: options.framing ?? (body === null ? 'none' : 'length'),
    injected: null,
    answer: answered,
    paced: options.paced ?? false,
  }
}

/** Each feature once whole and once streamed, on transports in turn. */
function bothWays(
  family: string,
  path: string,
  features: readonly {
    readonly name: string
    readonly template: string
    readonly whole: string
    readonly streamed: readonly (string | Buffer)[]
    readonly refused?: boolean
  }[],
): Exchange[] {
  return features.flatMap(({ name, template, whole, streamed, refused = false }, index) => {
    const transport = TRANSPORTS[index % TRANSPORTS.length]!
    const streamTransport =
      index % 5 === 4 ? TRANSPORTS[4]! : index % 7 === 3 ? TRANSPORTS[5]! : TRANSPORTS[2]!
    return [
      onSurface(
        `${family}: ${name} (${describeTransport(transport)})`,
        path,
        template,
        answer(whole, { headers: [ID], transport }),
        { refused },
      ),
      onSurface(
        `${family}: ${name}, streamed (${describeTransport(streamTransport)})`,
        path,
        template.replace('{', '{"stream":true,'),
        events(streamed, streamTransport),
        { refused, paced: !refused && streamTransport.encoding === undefined && index < 6 },
      ),
    ]
  })
}

// --- chat completions ---------------------------------------------------------------------------------------------

const CHAT = '/v1/chat/completions'
const chatBase = { id: 'chatcmpl-B9', created: 1_741_569_952, model: 'ft:gpt-4.1:org::x' }

const choice = (message: object, finish = 'stop', index = 0, more: object = {}) => ({
  index,
  message: { role: 'assistant', ...message },
  logprobs: null,
  finish_reason: finish,
  ...more,
})

const chatWhole = (choices: readonly object[], more: object = {}) =>
  JSON.stringify(
    {
      ...chatBase,
      object: 'chat.completion',
      choices,
      usage: { prompt_tokens: 19, completion_tokens: 10, total_tokens: 29 },
      service_tier: 'default',
      ...more,
    },
    null,
    2,
  )

const delta = (it: object, more: object = {}, index = 0) =>
  sse({
    ...chatBase,
    object: 'chat.completion.chunk',
    choices: [{ index, delta: it, finish_reason: null, ...more }],
  })
const STOP = delta({}, { finish_reason: 'stop' })

const chatText = {
  whole: chatWhole([choice({ content: 'A wren: small, loud. 🦜', refusal: null })]),
  streamed: [
    delta({ role: 'assistant', content: '' }),
    delta({ content: 'A wren' }),
    delta({ content: ' 🦜' }),
    STOP,
    DONE,
  ],
}
const chatTools = {
  whole: chatWhole([
    choice(
      {
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"b":"wren"}' } },
        ],
      },
      'tool_calls',
    ),
  ]),
  streamed: [
    delta({
      role: 'assistant',
      tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'look', arguments: '' } }],
    }),
    delta({ tool_calls: [{ index: 0, function: { arguments: '{"b":' } }] }),
    delta({ tool_calls: [{ index: 0, function: { arguments: '"wren"}' } }] }),
    delta({}, { finish_reason: 'tool_calls' }),
    DONE,
  ],
}
const chatRefusal = {
  whole: chatWhole([choice({ content: null, refusal: 'I cannot help with that.' })]),
  streamed: [delta({ refusal: 'I cannot ' }), delta({ refusal: 'help.' }), STOP, DONE],
}
const chatMany = {
  whole: chatWhole([0, 1, 2].map((index) => choice({ content: `answer ${index}` }, 'stop', index))),
  streamed: [
    delta({ content: 'a' }, {}, 2) + delta({ content: 'b' }, {}, 0),
    delta({ content: 'c' }, {}, 1),
    STOP,
    DONE,
  ],
}
const logprobs = {
  content: [
    { token: 'é', logprob: -0.31725305, bytes: [195, 169], top_logprobs: [{ token: 'e', logprob: -1e-7 }] },
  ],
}
const chatLogprobs = {
  whole: chatWhole([choice({ content: 'é' }, 'stop', 0, { logprobs })]),
  streamed: [delta({ content: 'é' }, { logprobs }), STOP, DONE],
}
const chatAudio = {
  whole: chatWhole([
    choice({
      content: null,
      audio: { id: 'audio_1', data: Buffer.alloc(600, 7).toString('base64'), transcript: 'wren' },
    }),
  ]),
  streamed: [
    delta({ audio: { id: 'audio_1', transcript: 'wr' } }),
    delta({ audio: { data: 'UklGRgAA' } }),
    STOP,
    DONE,
  ],
}
const chatStructured = {
  whole: chatWhole([choice({ content: '{"bird":"wren","size":1.10}' })]),
  streamed: [delta({ content: '{"bird":' }), delta({ content: '"wren"}' }), STOP, DONE],
}
const chatUsage = {
  whole: chatText.whole,
  streamed: [
    ...chatText.streamed.slice(0, -1),
    sse({
      ...chatBase,
      object: 'chat.completion.chunk',
      choices: [],
      usage: { prompt_tokens: 19, completion_tokens: 2, total_tokens: 21 },
    }),
    DONE,
  ],
}

const chatFeatures = bothWays('chat', CHAT, [
  {
    name: 'a user message',
    template: '{"model":"ft:x","messages":[{"role":"user","content":"@@Name a bird."}]}',
    ...chatText,
  },
  {
    name: 'spacing, escapes, number spellings and duplicate keys',
    template:
      '{ "model" : "ft:x" ,\r\n\t"temperature":1.0,"top_p":1e0,"seed":9007199254740993,\n "x":1,"x":2,"messages":[ {"content" : "@@N\\u0061me \\/ \\"it\\" \\ud83e\\udd9c" , "role":"us\\u0065r"} ] }\n',
    ...chatText,
  },
  {
    name: 'tools',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":"@@Look."}],"tools":[{"type":"function","function":{"name":"look","strict":true,"parameters":{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}}}],"tool_choice":"auto","parallel_tool_calls":false}',
    ...chatTools,
  },
  {
    name: 'usage is asked for',
    template:
      '{"model":"ft:x","stream_options":{"include_usage":true},"messages":[{"role":"user","content":"@@Hi"}]}',
    ...chatUsage,
  },
  {
    name: 'structured output',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":"@@Bird?"}],"response_format":{"type":"json_schema","json_schema":{"name":"b","strict":true,"schema":{"type":"object","properties":{"messages":{"type":"array"}}}}}}',
    ...chatStructured,
  },
  {
    name: 'a refusal',
    template: '{"model":"ft:x","messages":[{"role":"user","content":"@@Do harm."}]}',
    ...chatRefusal,
  },
  {
    name: 'n of 3',
    template: '{"model":"ft:x","n":3,"messages":[{"role":"user","content":"@@Three birds"}]}',
    ...chatMany,
  },
  {
    name: 'logprobs',
    template:
      '{"model":"ft:x","logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"@@é"}]}',
    ...chatLogprobs,
  },
  {
    name: 'audio in and out',
    template:
      '{"model":"gpt-audio","modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"},"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},{"type":"text","text":"@@What bird sings?"}]}]}',
    ...chatAudio,
  },
  {
    name: 'audio alone',
    template:
      '{"model":"gpt-audio","messages":[{"role":"user","content":[@P@,{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}',
    ...chatAudio,
  },
  {
    name: 'an image before the text',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\\/png;base64,iVBORw0=","detail":"low"}},{"type":"text","text":"@@What is it?"}]}]}',
    ...chatText,
  },
  {
    name: 'an image alone',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":[@P@,{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}',
    ...chatText,
  },
  {
    name: 'no parts at all',
    template: '{"model":"ft:x","messages":[{"role":"user","content":[@P@]}]}',
    ...chatText,
  },
  {
    name: 'a file part',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":[{"type":"text","text":"@@Read."},{"type":"file","file":{"file_id":"file-1"}}]}]}',
    ...chatText,
  },
  {
    name: 'a system message before',
    template:
      '{"model":"ft:x","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"@@Bird?"}]}',
    ...chatText,
  },
  {
    name: 'a developer message, effort and verbosity',
    template:
      '{"model":"ft:x","reasoning_effort":"low","verbosity":"low","messages":[{"role":"developer","content":[{"type":"text","text":"Be brief."}]},{"role":"user","content":"@@Bird?","name":"ann"}]}',
    ...chatText,
  },
  {
    name: 'a conversation with tool results',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":"@@Look."},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\\"b\\":1}"}}]},{"role":"tool","tool_call_id":"call_1","content":"wren"},{"role":"user","content":"And?"}]}',
    ...chatTools,
  },
  {
    name: 'an empty user message',
    template: '{"model":"ft:x","messages":[{"role":"user","content":"@@"}]}',
    ...chatText,
  },
  {
    name: 'lone surrogates and control characters',
    template:
      '{"model":"ft:x","messages":[{"role":"user","content":"@@\\ud800 \\u0000 \\u2028 \u2028 🦜 \u007f"}]}',
    ...chatText,
  },
  {
    name: 'unknown members at every level',
    template:
      '{"provider":{"order":["a"]},"messages":[{"x":[{"role":"user","content":"no"}],"role":"user","content":"@@Yes"}],"model":"ft:x","extra_body":{"messages":[]},"logit_bias":{"50256":-100},"metadata":{"messages":"x"}}',
    ...chatText,
  },
  {
    name: 'the model after messages of 300 kB',
    template: `{"messages":[{"role":"user","content":"@@${'wren ü '.repeat(40_000)}"}],"model":"ft:x"}`,
    ...chatText,
  },
  {
    name: 'no user message',
    template: '{"model":"ft:x","messages":[{"role":"system","content":"Sing."}]}',
    refused: true,
    ...chatText,
  },
])

// --- responses ----------------------------------------------------------------------------------------------------

const RESPONSES = '/v1/responses'

const responseObject = (output: readonly object[], more: object = {}) => ({
  id: 'resp_67cb',
  object: 'response',
  created_at: 1_741_294_021,
  status: 'completed',
  error: null,
  model: 'ft:x',
  output,
  usage: { input_tokens: 32, output_tokens: 18, total_tokens: 50 },
  ...more,
})
const outputText = (text: string) => ({
  type: 'message',
  id: 'msg_1',
  status: 'completed',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [] }],
})

function response(output: readonly object[], deltas: readonly { type: string }[], more: object = {}) {
  const whole = responseObject(output, more)
  return {
    whole: JSON.stringify(whole),
    streamed: [
      {
        type: 'response.created',
        sequence_number: 0,
        response: { ...whole, status: 'in_progress', output: [] },
      },
      ...deltas.map((it, index) => ({
        ...it,
        sequence_number: index + 1,
        item_id: 'msg_1',
        output_index: 0,
      })),
      { type: 'response.completed', sequence_number: deltas.length + 1, response: whole },
    ].map(named),
  }
}

const responseText = response(
  [outputText('A wren. 🦜')],
  [
    { type: 'response.output_text.delta', delta: 'A wren.' } as { type: string },
    { type: 'response.output_text.delta', delta: ' 🦜' } as { type: string },
  ],
)
const responseCall = response(
  [{ type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'look', arguments: '{"b":"wren"}' }],
  [
    { type: 'response.function_call_arguments.delta', delta: '{"b":' } as { type: string },
    { type: 'response.function_call_arguments.done', arguments: '{"b":"wren"}' } as { type: string },
  ],
)
const responseReasoning = response(
  [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA==' }, outputText('Wren')],
  [{ type: 'response.reasoning_summary_text.delta', delta: 'Birds…' } as { type: string }],
)
const responseRefusal = response(
  [{ type: 'message', id: 'msg_1', role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }],
  [{ type: 'response.refusal.delta', delta: 'No.' } as { type: string }],
)

const responsesFeatures = bothWays('responses', RESPONSES, [
  { name: 'input as a string', template: '{"model":"ft:x","input":"@@Name a bird."}', ...responseText },
  {
    name: 'instructions and input',
    template: '{"input" : "@@Bird?", "instructions":"Be brief.","model":"ft:x"}',
    ...responseText,
  },
  {
    name: 'input as a list',
    template:
      '{"model":"ft:x","input":[{"role":"developer","content":"Brief."},{"role":"user","content":"@@Bird?"},{"role":"user","content":"Again?"}]}',
    ...responseText,
  },
  {
    name: 'content parts with an image',
    template:
      '{"model":"ft:x","input":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,iVBO"},{"type":"input_text","text":"@@What?"}]}]}',
    ...responseText,
  },
  {
    name: 'an image alone',
    template:
      '{"model":"ft:x","input":[{"role":"user","content":[@P@,{"type":"input_image","file_id":"file-1"}]}]}',
    ...responseText,
  },
  {
    name: 'a function tool',
    template:
      '{"model":"ft:x","input":"@@Look.","tools":[{"type":"function","name":"look","strict":true,"parameters":{"type":"object","properties":{}}}],"tool_choice":"required"}',
    ...responseCall,
  },
  {
    name: 'tool output of an earlier turn',
    template:
      '{"model":"ft:x","input":[{"role":"user","content":"@@Look."},{"type":"function_call","call_id":"call_1","name":"look","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"wren"}]}',
    ...responseText,
  },
  {
    name: 'a turn continued with previous_response_id',
    template: '{"model":"ft:x","previous_response_id":"resp_0","input":"And now?"}',
    ...responseText,
  },
  {
    name: 'structured output',
    template:
      '{"model":"ft:x","input":"@@Bird?","text":{"format":{"type":"json_schema","name":"b","strict":true,"schema":{"type":"object"}},"verbosity":"low"}}',
    ...responseText,
  },
  {
    name: 'reasoning with encrypted content',
    template:
      '{"model":"ft:x","input":"@@Think.","store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"high","summary":"auto"}}',
    ...responseReasoning,
  },
  { name: 'a refusal', template: '{"model":"ft:x","input":"@@Do harm."}', ...responseRefusal },
  {
    name: 'an incomplete answer',
    template: '{"model":"ft:x","max_output_tokens":16,"truncation":"auto","input":"@@Long."}',
    ...response([outputText('A')], [{ type: 'response.output_text.delta' }], {
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    }),
  },
  {
    name: 'built-in tools and metadata',
    template:
      '{"model":"ft:x","tools":[{"type":"web_search"},{"type":"file_search","vector_store_ids":["vs_1"]}],"metadata":{"input":"no"},"input":"@@Search.","safety_identifier":"u"}',
    ...responseText,
  },
])

// --- completions --------------------------------------------------------------------------------------------------

const COMPLETIONS = '/v1/completions'
const textChoice = (text: string, index = 0, finish: string | null = 'stop', more: object = {}) => ({
  text,
  index,
  logprobs: null,
  finish_reason: finish,
  ...more,
})
const textWhole = (choices: readonly object[]) => ({
  id: 'cmpl-u',
  object: 'text_completion',
  created: 1,
  model: 'ft:x',
  choices,
})
const completionText = {
  whole: JSON.stringify(textWhole([textChoice('\n\nA wren. 🦜')])),
  streamed: [
    sse(textWhole([textChoice('A wr', 0, null)])),
    sse(textWhole([textChoice('en', 0, null)])),
    sse(textWhole([textChoice('')])),
    DONE,
  ],
}
const completionMany = {
  whole: JSON.stringify(textWhole([textChoice('one'), textChoice('two', 1), textChoice('three', 2)])),
  streamed: [sse(textWhole([textChoice('two', 1, null)])), sse(textWhole([textChoice('one')])), DONE],
}

const completionsFeatures = bothWays('completions', COMPLETIONS, [
  { name: 'a prompt', template: '{"model":"ft:x","prompt":"@@A bird is"}', ...completionText },
  {
    name: 'a list of prompts',
    template: '{"model":"ft:x","prompt":["@@A bird is", "@@A fish is"]}',
    ...completionMany,
  },
  {
    name: 'suffix, echo, best_of and stop',
    template:
      '{"suffix":"."," prompt":1,"prompt":"@@A \\u0022bird\\u0022","echo":true,"best_of":3,"n":3,"stop":["\\n","\\n\\n"],"model":"ft:x"}',
    ...completionMany,
  },
  {
    name: 'logprobs',
    template: '{"model":"ft:x","prompt":"@@é","logprobs":5,"temperature":0.0}',
    whole: JSON.stringify(
      textWhole([
        textChoice('é', 0, 'length', {
          logprobs: {
            tokens: ['bytes:\\xc3', 'bytes:\\xa9'],
            token_logprobs: [-1.5, null],
            text_offset: [0, 0],
          },
        }),
      ]),
    ),
    streamed: completionText.streamed,
  },
  { name: 'an empty prompt', template: '{"model":"ft:x","prompt":"@@"}', ...completionText },
  {
    name: 'token ids',
    template: '{"model":"ft:x","prompt":[464,6512,318],"max_tokens":7}',
    refused: true,
    ...completionText,
  },
])

const simple: Record<string, string> = {
  [CHAT]: '{"model":"ft:x","messages":[{"role":"user","content":"@@Hi"}]}',
  [RESPONSES]: '{"model":"ft:x","input":"@@Hi"}',
  [COMPLETIONS]: '{"model":"ft:x","prompt":"@@Hi"}',
}
const streaming = (path: string) => simple[path]!.replace('{', '{"stream":true,')
const surfaceNames: Record<string, string> = {
  [CHAT]: 'chat',
  [RESPONSES]: 'responses',
  [COMPLETIONS]: 'completions',
}

// --- errors -------------------------------------------------------------------------------------------------------

const ERRORS: readonly (readonly [
  status: number,
  type: string,
  code: string | null,
  headers: readonly Header[],
])[] = [
  [400, 'invalid_request_error', 'context_length_exceeded', []],
  [401, 'invalid_request_error', 'invalid_api_key', [['www-authenticate', 'Bearer realm="OpenAI API"']]],
  [403, 'request_forbidden', 'unsupported_country_region_territory', []],
  [404, 'invalid_request_error', 'model_not_found', [['vary', 'Origin']]],
  [409, 'conflict', null, [['etag', 'W/"1"']]],
  [422, 'invalid_request_error', 'unprocessable', []],
  [
    429,
    'tokens',
    'rate_limit_exceeded',
    [
      ['retry-after', '20'],
      ['retry-after-ms', '19540'],
      ['x-ratelimit-limit-requests', '10000'],
      ['x-ratelimit-remaining-requests', '0'],
      ['x-ratelimit-reset-tokens', '6m0s'],
    ],
  ],
  [500, 'server_error', null, [['x-should-retry', 'false']]],
  [502, 'server_error', null, []],
  [503, 'server_error', 'overloaded', [['Retry-After', 'Wed, 21 Oct 2015 07:28:00 GMT']]],
  [504, 'server_error', 'timeout', []],
]

const errors = Object.keys(simple).flatMap((path, which) =>
  ERRORS.map(([status, type, code, headers], index) => {
    const transport = TRANSPORTS[(index + which * 2) % TRANSPORTS.length]!
    // A stream that is refused is answered with JSON.
    const template = (index + which) % 2 === 0 ? simple[path]! : streaming(path)
    const body = JSON.stringify({ error: { message: `No: ${status} ünd`, type, param: null, code } }, null, 4)
    return onSurface(
      `${surfaceNames[path]}: an error ${status} ${code ?? type} (${describeTransport(transport)})`,
      path,
      template,
      answer(`${body}\n`, { status, headers: [ID, ...headers], transport }),
    )
  }),
)

const gateway: readonly (readonly [name: string, answered: ScriptedAnswer])[] = [
  [
    'a 502 page of a load balancer',
    answer('<html>\r\n<h1>502</h1>\r\n</html>\r\n', { status: 502, type: 'text/html' }),
  ],
  ['a 503 without body', answer('', { status: 503, type: null })],
  [
    'a 520 that no registry knows',
    answer('error code: 520', { status: 520, statusText: '', type: 'text/plain' }),
  ],
  ['a 529 with a reason of its own', answer('{}', { status: 529, statusText: 'Site is overloaded' })],
  ['a 418', answer('{}', { status: 418, statusText: "I'm a Teapot" })],
  ['an empty reason', answer('{}', { status: 200, statusText: '' })],
  ['a 200 of no bytes', answer('')],
  ['a chunked 200 of no bytes', answer('', { transport: { framing: 'chunked', pieces: 1 } })],
  [
    'a 200 that ends with the connection, of no bytes',
    answer('', { transport: { framing: 'close', pieces: 1 } }),
  ],
  ['a 201', answer('{"id":"x"}', { status: 201, headers: [['location', '/v1/x']] })],
  ['a 202', answer('{}', { status: 202 })],
  ['a 204', { status: 204, headers: [ID], chunks: [], framing: 'length' }],
  ['a 304', { status: 304, headers: [['etag', '"a"'], ID], chunks: [], framing: 'length' }],
  [
    'a 307, not followed',
    answer('', { status: 307, headers: [['location', 'http://127.0.0.1:9/v1/elsewhere']] }),
  ],
  ['102 before the answer', { ...answer('{"late":true}'), processing: true }],
]
const statuses = gateway.map(([name, answered]) => onSurface(`chat: ${name}`, CHAT, simple[CHAT]!, answered))

// --- event streams ------------------------------------------------------------------------------------------------

const parrot = Buffer.from(delta({ content: 'A 🦜 sings é' }))
const inParrot = parrot.indexOf(Buffer.from('🦜'))
const MEGABYTE = 1024 * 1024

const frames: readonly (readonly [name: string, chunks: readonly (string | Buffer)[], paced: boolean])[] = [
  [
    'a character split between chunks',
    [
      parrot.subarray(0, inParrot + 1),
      parrot.subarray(inParrot + 1, inParrot + 3),
      parrot.subarray(inParrot + 3),
      DONE,
    ],
    true,
  ],
  ['each byte a chunk', [...slices(Buffer.from(delta({ content: '🦜' }) + DONE), 400)], false],
  ['several events in one chunk', [delta({ content: 'a' }) + delta({ content: 'b' }) + STOP + DONE], true],
  ['an event across three chunks', [...slices(parrot, 3), DONE], true],
  [
    'comments',
    [': OPENROUTER PROCESSING\n\n', delta({ content: 'a' }), ':\n', ': ping\n\n', STOP, DONE],
    true,
  ],
  [
    'keep-alive comments alone, then the answer',
    [':\n\n', ':\n\n', ':\n\n', delta({ content: 'a' }), DONE],
    true,
  ],
  ['CRLF', [delta({ content: 'a' }).replaceAll('\n', '\r\n'), 'data: [DONE]\r\n\r\n'], true],
  ['CR and LF in different chunks', ['data: {"x":1}\r', '\n\r', '\ndata: [DONE]\r', '\n\r\n'], true],
  ['lone CRs', ['data: {"choices":[]}\r\r', 'data: [DONE]\r\r'], false],
  ['no final newline', [delta({ content: 'a' }), 'data: [DONE]'], true],
  ['no [DONE]', [delta({ content: 'a' }), STOP], false],
  ['a byte order mark', [Buffer.from([0xef, 0xbb, 0xbf]), delta({ content: 'a' }), DONE], false],
  [
    'id, event and retry fields',
    ['retry: 3000\n', 'id: 7\nevent: message\n', delta({ content: 'a' }), DONE],
    true,
  ],
  ['data in several lines, without spaces', ['data:{"choices":\ndata:[]}\n\n', 'data:[DONE]\n\n'], false],
  ['an error in mid-stream', [delta({ content: 'a' }), sse({ error: { message: 'died', code: 500 } })], true],
  ['bytes that are no UTF-8', [Buffer.from([0x64, 0x3a, 0xff, 0xfe, 0x00, 0x0a, 0x0a]), DONE], false],
  [
    'events of 1 MB',
    [delta({ content: 'ü'.repeat(MEGABYTE / 2) }), delta({ content: 'x'.repeat(MEGABYTE) }), DONE],
    false,
  ],
  ['2,000 small events', Array.from({ length: 2_000 }, (_, at) => delta({ content: `${at} ` })), false],
  ['nothing at all', [], false],
  ['blank lines only', ['\n\n', '\n', '\n\n\n'], true],
]
const streams = frames.map(([name, chunks, paced]) =>
  onSurface(`SSE: ${name}`, CHAT, streaming(CHAT), events(chunks), { paced }),
)
const otherStreams = [
  onSurface(
    'SSE: responses, an event split in its name',
    RESPONSES,
    streaming(RESPONSES),
    events(['event: resp', 'onse.created\ndata: {"type":"resp', 'onse.created"}\n', '\n']),
    { paced: true },
  ),
  onSurface(
    'SSE: responses, failed',
    RESPONSES,
    streaming(RESPONSES),
    events([named({ type: 'response.failed' })]),
    { paced: true },
  ),
  onSurface(
    'SSE: completions, usage last',
    COMPLETIONS,
    streaming(COMPLETIONS),
    events([...completionText.streamed.slice(0, -1), sse({ choices: [], usage: { total_tokens: 3 } }), DONE]),
    { paced: true },
  ),
  ...(['gzip', 'br', 'deflate', 'zstd'] as const).map((encoding) =>
    onSurface(
      `SSE: compressed with ${encoding}`,
      CHAT,
      streaming(CHAT),
      events(chatText.streamed, { framing: 'chunked', encoding, pieces: 4 }),
      { headers: [['accept-encoding', encoding]] },
    ),
  ),
  onSurface(
    'SSE: a stream that the connection ends',
    CHAT,
    streaming(CHAT),
    events(chatText.streamed, { framing: 'close', pieces: 1 }),
    { paced: true },
  ),
  onSurface(
    'SSE: a stream of known length',
    CHAT,
    streaming(CHAT),
    events(chatText.streamed, { framing: 'length', pieces: 3 }),
  ),
]

// --- large bodies -------------------------------------------------------------------------------------------------

const noise = Buffer.from(Array.from({ length: MEGABYTE }, (_, at) => (at * 2_654_435_761) >>> 24))
const large = [
  ...(['length', 'chunked', 'close'] as const).map((framing) =>
    onSurface(
      `chat: an answer of 1 MB (${framing})`,
      CHAT,
      simple[CHAT]!,
      answer(chatWhole([choice({ content: 'ä'.repeat(MEGABYTE / 2) })]), {
        transport: { framing, pieces: 17 },
      }),
    ),
  ),
  onSurface(
    'responses: an answer of 1 MB that does not compress (gzip, chunked)',
    RESPONSES,
    simple[RESPONSES]!,
    answer(noise, { transport: { framing: 'chunked', encoding: 'gzip', pieces: 9 } }),
  ),
  onSurface(
    'chat: a request of 1 MB',
    CHAT,
    `{"model":"ft:x","messages":[{"role":"user","content":[{"type":"text","text":"@@Look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,${noise.toString('base64')}"}}]}]}`,
    answer(chatText.whole),
  ),
  onSurface(
    'chat: a request of 1 MB, chunked',
    CHAT,
    `{"messages":[{"role":"user","content":"@@${'ü'.repeat(MEGABYTE / 2)}"}],"model":"ft:x"}`,
    answer(chatText.whole),
    { framing: 'chunked' },
  ),
  onSurface(
    'completions: a prompt of 1 MB',
    COMPLETIONS,
    `{"model":"ft:x","prompt":"@@${'wren '.repeat(200_000)}"}`,
    answer(completionText.whole),
  ),
]

// --- headers ------------------------------------------------------------------------------------------------------

const answerHeaders: readonly (readonly [name: string, headers: readonly Header[]])[] = [
  [
    'set-cookie twice',
    [
      ['set-cookie', '__cf_bm=a; path=/; HttpOnly'],
      ['set-cookie', '_cfuvid=b; Secure'],
    ],
  ],
  [
    'x-foo twice, apart',
    [
      ['x-foo', '1'],
      ['x-bar', '2'],
      ['x-foo', '3'],
    ],
  ],
  [
    'odd casing',
    [
      ['X-RateLimit-Limit-Requests', '5000'],
      ['OpenAI-Processing-MS', '12'],
      ['x-ODD-caSing', 'Yes'],
    ],
  ],
  [
    'rate limits and processing time',
    [
      ['x-ratelimit-limit-tokens', '150000'],
      ['x-ratelimit-reset-requests', '8.64s'],
      ['openai-processing-ms', '512'],
      ['openai-version', '2020-10-01'],
      ['openai-organization', 'org-x'],
      ['openai-project', 'proj_1'],
    ],
  ],
  ['a date of its own', [['date', 'Tue, 15 Nov 1994 08:12:31 GMT']]],
  [
    'a server, via and alt-svc',
    [
      ['Server', 'cloudflare'],
      ['Via', '1.1 vegur'],
      ['alt-svc', 'h3=":443"; ma=86400'],
      ['cf-ray', '8f-FRA'],
    ],
  ],
  [
    'headers of caches',
    [
      ['etag', '"33a6"'],
      ['last-modified', 'Wed, 21 Oct 2015 07:28:00 GMT'],
      ['age', '0'],
      ['vary', 'Accept-Encoding, Origin'],
      ['cache-control', 'no-store, private'],
    ],
  ],
  [
    'an empty value',
    [
      ['x-empty', ''],
      ['x-after', '1'],
    ],
  ],
  [
    'Latin-1 and spaces in values',
    [
      ['x-latin', 'caf\u00e9 \u00fc'],
      ['x-spaces', 'a  b\tc'],
      ['x-quoted', '"a, b"; q="\\""'],
    ],
  ],
  [
    'headers of CORS',
    [
      ['access-control-expose-headers', 'X-Request-ID'],
      ['access-control-allow-origin', '*'],
    ],
  ],
  ['a header of 8 kB', [['x-long', 'y'.repeat(8_000)]]],
  ['60 headers', Array.from({ length: 60 }, (_, at) => [`x-many-${at}`, String(at)] as const)],
  [
    'headers of this connection',
    [
      ['connection', 'keep-alive, x-hop'],
      ['keep-alive', 'timeout=5'],
      ['x-hop', 'gone'],
      ['x-stays', '1'],
      ['proxy-authenticate', 'Basic'],
      ['trailer', 'x-none'],
    ],
  ],
  [
    "another ballast's headers",
    [
      ['x-ballast-arm', 'other'],
      ['x-stays', '1'],
    ],
  ],
  [
    'retry-after and x-should-retry',
    [
      ['retry-after', '0.5'],
      ['x-should-retry', 'true'],
    ],
  ],
  ['no content-type', []],
]
const requestHeaders: readonly (readonly [name: string, headers: readonly Header[]])[] = [
  [
    'organisation, project and beta',
    [
      ['OpenAI-Organization', 'org-1'],
      ['OpenAI-Project', 'proj_1'],
      ['OpenAI-Beta', 'assistants=v2'],
    ],
  ],
  [
    'headers of the SDKs',
    [
      ['user-agent', 'OpenAI/JS 7.57.0'],
      ['x-stainless-lang', 'js'],
      ['X-Stainless-Retry-Count', '0'],
      ['x-stainless-timeout', '600'],
    ],
  ],
  [
    'x-request-id and idempotency-key',
    [
      ['X-Request-ID', 'mine-1'],
      ['Idempotency-Key', 'stainless-1'],
      ['X-Client-Request-Id', 'c'],
    ],
  ],
  [
    'x-foo twice, odd casing',
    [
      ['X-fOO', '1'],
      ['x-bar', '2'],
      ['x-Foo', '3'],
    ],
  ],
  [
    'accept, accept-encoding and range',
    [
      ['Accept', 'application/json, */*;q=0.1'],
      ['accept-encoding', 'gzip, br, zstd'],
      ['accept-language', 'de'],
    ],
  ],
  [
    'traces',
    [
      ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
      ['tracestate', 'a=1,b=2'],
      ['baggage', 'k=v'],
    ],
  ],
  [
    'empty and Latin-1 values',
    [
      ['x-empty', ''],
      ['x-latin', '\u00fc\u00e9'],
      ['x-spaces', 'a  b'],
    ],
  ],
  [
    'cookies, units and headers of the connection, all dropped',
    [
      ['cookie', 'a=1'],
      ['x-ballast-unit', 'ann'],
      ['x-ballast-session', 's'],
      ['connection', 'close, x-hop'],
      ['x-hop', '1'],
      ['te', 'trailers'],
      ['proxy-authorization', 'Basic eDp5'],
      ['keep-alive', 'timeout=5'],
      ['x-stays', '1'],
    ],
  ],
  ['expect: 100-continue', [['expect', '100-continue']]],
  [
    'credentials in other headers, dropped',
    [
      ['api-key', 'k'],
      ['x-api-key', 'k'],
      ['x-stays', '1'],
    ],
  ],
  ['a header of 8 kB', [['x-long', 'z'.repeat(8_000)]]],
]
const headerExchanges = [
  ...answerHeaders.map(([name, headers], index) => {
    const type = name === 'no content-type' ? null : 'application/json'
    const announced = headers.some(([header]) => header === 'trailer')
    const transport = announced ? TRANSPORTS[2]! : TRANSPORTS[index % 3]!
    return onSurface(
      `answer headers: ${name}`,
      CHAT,
      simple[CHAT]!,
      answer(chatText.whole, { headers, type, transport }),
    )
  }),
  ...requestHeaders.map(([name, headers]) =>
    onSurface(`request headers: ${name}`, CHAT, simple[CHAT]!, answer(chatText.whole), { headers }),
  ),
  elsewhere(
    'request headers: conditional, off the surfaces',
    'GET',
    '/v1/files/file-1/content',
    null,
    answer('cde', {
      status: 206,
      type: 'application/octet-stream',
      headers: [
        ['content-range', 'bytes 2-4/9'],
        ['accept-ranges', 'bytes'],
      ],
    }),
    {
      headers: [
        ['Range', 'bytes=2-4'],
        ['If-Range', '"e"'],
      ],
    },
  ),
  elsewhere(
    'answer headers: set-cookie twice, off the surfaces',
    'GET',
    '/v1/models',
    null,
    answer('{}', {
      headers: [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ],
    }),
  ),
]

const queries = [
  onSurface(
    'query: on a surface',
    `${CHAT}?api-version=2024-10-21&trace=%2F%20%C3%BC`,
    simple[CHAT]!,
    answer(chatText.whole),
  ),
  onSurface('query: empty', `${RESPONSES}?`, simple[RESPONSES]!, answer(responseText.whole)),
  onSurface(
    'query: keys that repeat, plus signs',
    `${COMPLETIONS}?a=1&a=2&b=+x+&c`,
    simple[COMPLETIONS]!,
    answer(completionText.whole),
  ),
  elsewhere(
    'query: a list after a cursor',
    'GET',
    '/v1/files?limit=2&after=file-%2Fx&order=desc&purpose=fine-tune',
    null,
    answer('{"data":[]}'),
  ),
  elsewhere(
    'query: brackets, commas and a second question mark',
    'GET',
    '/v1/organization/costs?group_by[]=line_item&ids=a,b;c?d=1',
    null,
    answer('{"data":[]}'),
  ),
  elsewhere('query: a slash and dots inside', 'GET', '/v1/models?path=/../x/./', null, answer('{"data":[]}')),
]

// --- everything else ----------------------------------------------------------------------------------------------

const BOUNDARY = '----formdata-undici-0123'
const multipart = (...parts: readonly (readonly [head: string, body: string | Buffer])[]) =>
  Buffer.concat([
    ...parts.flatMap(([head, body]) => [
      Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
      Buffer.from(body),
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`--${BOUNDARY}--\r\n`),
  ])
const form: readonly Header[] = [['Content-Type', `multipart/form-data; boundary=${BOUNDARY}`]]
const upload = multipart(
  ['name="purpose"', 'fine-tune'],
  ['name="file"; filename="b\u00fcrds.jsonl"\r\nContent-Type: application/octet-stream', '{"messages":[]}\n'],
)
const binaryUpload = multipart(
  ['name="file"; filename="a.wav"', noise.subarray(0, 300_000)],
  ['name="model"', 'whisper-1'],
)
const gzipChunked: Transport = { framing: 'chunked', encoding: 'gzip', pieces: 3 }
const chunked: Transport = { framing: 'chunked', pieces: 4 }

const vectors = (dimensions: number) =>
  JSON.stringify({
    object: 'list',
    data: [
      {
        object: 'embedding',
        index: 0,
        embedding: Array.from({ length: dimensions }, (_, at) => Math.sin(at) / 7),
      },
    ],
    model: 'text-embedding-3-small',
    usage: { prompt_tokens: 8, total_tokens: 8 },
  })
const job = (id: string, status: string) =>
  `{\n  "object": "fine_tuning.job",\n  "id": "${id}",\n  "status": "${status}",\n  "trained_tokens": 5768.0\n}\n`
const list = (...data: readonly object[]) => JSON.stringify({ object: 'list', data, has_more: false })

const others = [
  elsewhere(
    'embeddings: a string',
    'POST',
    '/v1/embeddings',
    '{"input":"wren","model":"text-embedding-3-small"}',
    answer(vectors(1536)),
  ),
  elsewhere(
    'embeddings: a list, gzip',
    'POST',
    '/v1/embeddings',
    '{ "model":"text-embedding-3-small", "input":["a", "b"],"dimensions":256}',
    answer(vectors(256), { transport: gzipChunked }),
  ),
  elsewhere(
    'embeddings: token ids',
    'POST',
    '/v1/embeddings',
    '{"input":[[1,2],[3]],"model":"e","user":"u"}',
    answer(vectors(8), { transport: chunked }),
  ),
  elsewhere(
    'embeddings: base64',
    'POST',
    '/v1/embeddings',
    '{"encoding_format":"base64","input":"x","model":"e"}',
    answer('{"data":[{"embedding":"AACAPw=="}]}'),
  ),
  elsewhere(
    'embeddings: a request in chunks',
    'POST',
    '/v1/embeddings',
    '{"input":"x","model":"e"}',
    answer(vectors(4)),
    { framing: 'chunked' },
  ),
  elsewhere(
    'embeddings: an error',
    'POST',
    '/v1/embeddings',
    '{"input":"","model":"e"}',
    answer('{"error":{"message":"empty"}}', { status: 400 }),
  ),
  elsewhere(
    'embeddings: a 429 with retry-after',
    'POST',
    '/v1/embeddings',
    '{"input":"y","model":"e"}',
    answer('{"error":{}}', { status: 429, headers: [['retry-after', '2']] }),
  ),
  elsewhere(
    'models: list',
    'GET',
    '/v1/models',
    null,
    answer(list({ id: 'gpt-4.1', object: 'model' }), { transport: gzipChunked }),
  ),
  elsewhere(
    'models: one, of a fine-tuned name',
    'GET',
    '/v1/models/ft:gpt-4.1:org:birds:9a%2Fb',
    null,
    answer('{"id":"x"}'),
  ),
  elsewhere(
    'models: none of this name',
    'GET',
    '/v1/models/nope',
    null,
    answer('{"error":{"code":"model_not_found"}}', { status: 404 }),
  ),
  elsewhere(
    'models: delete',
    'DELETE',
    '/v1/models/ft:gpt-4.1:org::x',
    null,
    answer('{"id":"x","deleted":true}'),
  ),
  elsewhere('models: HEAD', 'HEAD', '/v1/models', null, {
    status: 200,
    headers: [JSON_TYPE, ['content-length', '1234'], ID],
    chunks: [],
    framing: 'length',
  }),
  elsewhere('files: upload', 'POST', '/v1/files', upload, answer('{"id":"file-1"}'), { headers: form }),
  elsewhere('files: upload in chunks', 'POST', '/v1/files', upload, answer('{"id":"file-2"}'), {
    headers: form,
    framing: 'chunked',
  }),
  elsewhere(
    'files: upload of 1 MB',
    'POST',
    '/v1/files',
    multipart(['name="file"; filename="n"', noise]),
    answer('{"id":"file-3"}'),
    { headers: form },
  ),
  elsewhere('files: list', 'GET', '/v1/files', null, answer(list({ id: 'file-1' }), { transport: chunked })),
  elsewhere('files: one', 'GET', '/v1/files/file-1', null, answer('{"id":"file-1","bytes":120000}')),
  elsewhere(
    'files: content, binary',
    'GET',
    '/v1/files/file-1/content',
    null,
    answer(noise.subarray(0, 70_001), {
      type: 'application/octet-stream',
      headers: [['content-disposition', 'attachment; filename="b.jsonl"']],
    }),
  ),
  elsewhere(
    'files: content of 1 MB, chunked',
    'GET',
    '/v1/files/file-2/content',
    null,
    answer(noise, { type: 'application/octet-stream', transport: { framing: 'chunked', pieces: 20 } }),
  ),
  elsewhere(
    'files: content, until the connection ends',
    'GET',
    '/v1/files/file-3/content',
    null,
    answer(noise.subarray(0, 5_000), { type: null, transport: { framing: 'close', pieces: 3 } }),
  ),
  elsewhere('files: HEAD of content, its length unknown', 'HEAD', '/v1/files/file-1/content', null, {
    status: 200,
    headers: [['content-type', 'text/plain']],
    chunks: [],
    framing: 'chunked',
  }),
  elsewhere('files: delete', 'DELETE', '/v1/files/file-1', null, answer('{"id":"file-1","deleted":true}')),
  elsewhere('files: delete, answered with 204', 'DELETE', '/v1/files/file-2', null, {
    status: 204,
    headers: [ID],
    chunks: [],
    framing: 'length',
  }),
  elsewhere(
    'uploads: a part',
    'POST',
    '/v1/uploads/upload_1/parts',
    multipart(['name="data"', noise.subarray(0, 4_096)]),
    answer('{"id":"part_1"}'),
    { headers: form },
  ),
  elsewhere(
    'uploads: complete',
    'POST',
    '/v1/uploads/upload_1/complete',
    '{"part_ids":["part_1"],"md5":""}',
    answer('{"status":"completed"}'),
  ),
  elsewhere(
    'images: generation',
    'POST',
    '/v1/images/generations',
    '{"prompt":"a wren","model":"gpt-image-1","n":1}',
    answer(JSON.stringify({ created: 1, data: [{ b64_json: noise.toString('base64') }] }), {
      transport: chunked,
    }),
  ),
  elsewhere(
    'images: generation, streamed',
    'POST',
    '/v1/images/generations',
    '{"prompt":"a wren","model":"gpt-image-1","stream":true,"partial_images":1}',
    events([
      named({ type: 'image_generation.partial_image' }),
      named({ type: 'image_generation.completed' }),
    ]),
    { paced: true },
  ),
  elsewhere(
    'images: edit',
    'POST',
    '/v1/images/edits',
    multipart(
      ['name="image"; filename="a.png"\r\nContent-Type: image/png', noise.subarray(0, 9_999)],
      ['name="prompt"', 'mehr V\u00f6gel'],
    ),
    answer('{"data":[{"url":"https://x/y?sig=%3D"}]}'),
    { headers: form },
  ),
  elsewhere(
    'audio: speech',
    'POST',
    '/v1/audio/speech',
    '{"model":"tts-1","input":"wren","voice":"alloy"}',
    answer(noise.subarray(0, 50_000), { type: 'audio/mpeg', transport: chunked }),
  ),
  elsewhere(
    'audio: speech, each chunk as it comes',
    'POST',
    '/v1/audio/speech',
    '{"model":"tts-1","input":"wren","voice":"nova","response_format":"pcm"}',
    answer(noise.subarray(0, 900), { type: 'audio/pcm', transport: { framing: 'chunked', pieces: 3 } }),
    { paced: true },
  ),
  elsewhere(
    'audio: transcription',
    'POST',
    '/v1/audio/transcriptions',
    binaryUpload,
    answer('{"text":"wren"}'),
    { headers: form },
  ),
  elsewhere(
    'audio: transcription as text, gzip',
    'POST',
    '/v1/audio/transcriptions',
    binaryUpload.subarray(0),
    answer('1\n00:00:00,000 --> 00:00:01,000\nwren\n\n', {
      type: 'text/plain; charset=utf-8',
      transport: gzipChunked,
    }),
    { headers: form, framing: 'chunked' },
  ),
  elsewhere(
    'audio: translation',
    'POST',
    '/v1/audio/translations',
    binaryUpload,
    answer('{"text":"wren"}', { transport: { framing: 'close', pieces: 1 } }),
    { headers: form },
  ),
  elsewhere(
    'moderations: a string',
    'POST',
    '/v1/moderations',
    '{"input": "x",  "n": 1.0}',
    answer('{"results":[{"flagged":false,"category_scores":{"hate":7.4e-10}}]}'),
  ),
  elsewhere(
    'moderations: text and image',
    'POST',
    '/v1/moderations',
    '{"model":"omni-moderation-latest","input":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}',
    answer('{"results":[]}', { transport: gzipChunked }),
  ),
  elsewhere(
    'fine-tuning: create',
    'POST',
    '/v1/fine_tuning/jobs',
    '{"training_file":"file-1","model":"gpt-4.1-mini","method":{"type":"supervised"},"seed":42}',
    answer(job('ftjob-1', 'validating_files')),
  ),
  elsewhere(
    'fine-tuning: list',
    'GET',
    '/v1/fine_tuning/jobs?limit=2&metadata[a]=b',
    null,
    answer(list({ id: 'ftjob-1' }), { transport: chunked }),
  ),
  elsewhere(
    'fine-tuning: cancel, without a body',
    'POST',
    '/v1/fine_tuning/jobs/ftjob-1/cancel',
    '',
    answer(job('ftjob-1', 'cancelled')),
  ),
  elsewhere(
    'fine-tuning: events',
    'GET',
    '/v1/fine_tuning/jobs/ftjob-1/events',
    null,
    answer(list({ message: 'Stufe 1: n\u00e4chste' }), { transport: gzipChunked }),
  ),
  elsewhere(
    'fine-tuning: checkpoints',
    'GET',
    '/v1/fine_tuning/jobs/ftjob-1/checkpoints',
    null,
    answer(list({ step_number: 88 })),
  ),
  elsewhere(
    'batches: create',
    'POST',
    '/v1/batches',
    '{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}',
    answer('{"id":"batch_1"}'),
  ),
  elsewhere('batches: one', 'GET', '/v1/batches/batch_1', null, answer('{"status":"in_progress"}')),
  elsewhere('batches: cancel', 'POST', '/v1/batches/batch_1/cancel', '{}', answer('{"status":"cancelling"}')),
  elsewhere(
    'vector stores: create',
    'POST',
    '/v1/vector_stores',
    '{"name":"birds","file_ids":["file-1"]}',
    answer('{"id":"vs_1"}'),
    { headers: [['OpenAI-Beta', 'assistants=v2']] },
  ),
  elsewhere(
    'vector stores: search',
    'POST',
    '/v1/vector_stores/vs_1/search',
    '{"query":"wren","filters":{"type":"eq","key":"a","value":1.50}}',
    answer('{"data":[{"score":0.95}]}', { transport: chunked }),
  ),
  elsewhere(
    'vector stores: remove a file',
    'DELETE',
    '/v1/vector_stores/vs_1/files/file-1',
    null,
    answer('{"deleted":true}'),
  ),
  elsewhere(
    'responses: get one, streamed',
    'GET',
    '/v1/responses/resp_1?stream=true&starting_after=3',
    null,
    events(responseText.streamed),
    { paced: true },
  ),
  elsewhere(
    'responses: input items',
    'GET',
    '/v1/responses/resp_1/input_items?include[]=x',
    null,
    answer(list({ role: 'user' })),
  ),
  elsewhere('responses: cancel', 'POST', '/v1/responses/resp_1/cancel', '', answer('{"status":"cancelled"}')),
  elsewhere('responses: delete', 'DELETE', '/v1/responses/resp_1', null, answer('{"deleted":true}')),
  elsewhere(
    'chat: a stored completion',
    'GET',
    '/v1/chat/completions/chatcmpl-1',
    null,
    answer(chatText.whole),
  ),
  elsewhere(
    'chat: update a stored completion',
    'POST',
    '/v1/chat/completions/chatcmpl-1',
    '{"metadata":{"messages":[]}}',
    answer(chatText.whole),
  ),
  elsewhere(
    'chat: list of stored completions',
    'GET',
    '/v1/chat/completions?model=ft%3Ax',
    null,
    answer(list()),
  ),
  elsewhere(
    'conversations: items',
    'POST',
    '/v1/conversations/conv_1/items',
    '{"items":[{"type":"message","role":"user","content":"Hi"}]}',
    answer(list()),
  ),
  elsewhere(
    'assistants: a run, streamed',
    'POST',
    '/v1/threads/thread_1/runs',
    '{"assistant_id":"asst_1","stream":true}',
    events(['event: thread.run.created\ndata: {"id":"run_1"}\n\n', 'event: done\ndata: [DONE]\n\n']),
    { paced: true, headers: [['OpenAI-Beta', 'assistants=v2']] },
  ),
  elsewhere(
    'realtime: a client secret',
    'POST',
    '/v1/realtime/client_secrets',
    '{"session":{"type":"realtime"}}',
    answer('{"value":"ek_1"}'),
  ),
  elsewhere(
    'OPTIONS',
    'OPTIONS',
    '/v1/chat/completions',
    null,
    {
      status: 204,
      headers: [
        ['access-control-allow-methods', 'POST'],
        ['allow', 'POST, OPTIONS'],
      ],
      chunks: [],
      framing: 'length',
    },
    { headers: [['access-control-request-method', 'POST']] },
  ),
  elsewhere('PUT', 'PUT', '/v1/unknown/thing', '{"a":1}', answer('{"a":1}', { status: 201 })),
  elsewhere('PUT of nothing', 'PUT', '/v1/unknown/thing', '', answer('', { status: 200, type: null })),
  elsewhere(
    'PATCH',
    'PATCH',
    '/v1/unknown/thing',
    Buffer.from('not json at all'),
    answer('ok', { type: 'text/plain' }),
    { headers: [['content-type', 'text/plain']] },
  ),
  elsewhere(
    'PATCH of JSON that is none',
    'PATCH',
    '/v1/organization/users/u',
    '{"role":',
    answer('{"error":{}}', { status: 400 }),
  ),
  elsewhere('DELETE with a body', 'DELETE', '/v1/unknown/thing', '{"why":"x"}', answer('{}')),
  elsewhere('a compressed request body', 'POST', '/v1/unknown/thing', gzipSync('{"a":1}'), answer('{}'), {
    headers: [JSON_TYPE, ['content-encoding', 'gzip']],
  }),
  elsewhere(
    'an unknown path',
    'GET',
    '/v1/some/new/endpoint',
    null,
    answer('{"error":{"message":"Invalid URL"}}', { status: 404 }),
  ),
  elsewhere('an unknown path, percent-encoded', 'GET', '/v1/%E2%98%83/a%20b/~x;y=1/@:!$', null, answer('{}')),
  elsewhere('a path with slashes that repeat', 'GET', '/v1//models//x/', null, answer('{}')),
  elsewhere(
    'a conditional GET, answered with 304',
    'GET',
    '/v1/models/x',
    null,
    {
      status: 304,
      headers: [
        ['etag', '"a"'],
        ['cache-control', 'max-age=60'],
      ],
      chunks: [],
      framing: 'length',
    },
    { headers: [['If-None-Match', '"a"']] },
  ),
  elsewhere(
    'a 304 that names the length of what it stands for',
    'GET',
    '/v1/models/y',
    null,
    {
      status: 304,
      headers: [
        ['etag', '"b"'],
        ['content-length', '512'],
      ],
      chunks: [],
      framing: 'length',
    },
    { headers: [['If-None-Match', '"b"']] },
  ),
]

/** What ballast gets wrong so far; moves to the corpus once it is mended. */
export const KNOWN_DIFFERENCES: readonly Exchange[] = [
  onSurface(
    'chat: a reason in Latin-1',
    CHAT,
    simple[CHAT]!,
    answer('{}', { status: 400, statusText: 'Schlechte Anfrage \u00e9' }),
  ),
]

export const EXCHANGES: readonly Exchange[] = [
  ...chatFeatures,
  ...responsesFeatures,
  ...completionsFeatures,
  ...errors,
  ...statuses,
  ...streams,
  ...otherStreams,
  ...large,
  ...headerExchanges,
  ...queries,
  ...others,
]
