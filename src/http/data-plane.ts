/**
 * The data plane on Node: `node:http` reads a request, the pipeline answers it. Composed by `node.ts`. The Web's
 * Request and Response would cost more here than all the rest (see `docs/decisions/`).
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { BallastError, type ErrorCode } from '../domain/errors.ts'
import { UNROUTED } from '../pipeline/relay.ts'
import { logRequest, logsRequests } from '../pipeline/request-line.ts'
import { ClientMessage } from './client-message.ts'
import { errorResponse } from './errors.ts'
import { Incoming } from './incoming.ts'
import type { DataPlaneDeps } from './served.ts'

const HEAD_TIMEOUT_MS = 60_000
/** How often slow clients are looked for. */
const CHECK_MS = 5_000

/** A connection that was refused an upgrade or HTTP itself may still send; so long it is read, that the answer arrives. */
const REFUSED_MS = 1_000

export function createDataPlane(deps: DataPlaneDeps): Server {
  /** The requests of a connection that are not over. */
  const running = new WeakMap<Duplex, Set<Incoming>>()
  /** Connections that were refused as such. */
  const refused = new WeakSet<Duplex>()

  const runningOf = (socket: Duplex) => {
    const known = running.get(socket)
    if (known !== undefined) return known
    const none = new Set<Incoming>()
    running.set(socket, none)
    return none
  }
  const begin = (request: ClientMessage, response: ServerResponse, expectsContinue: boolean) => {
    new Incoming(deps, request, response, runningOf(request.socket)).begin(expectsContinue)
  }
  const server = createServer(
    {
      IncomingMessage: ClientMessage,
      maxHeaderSize: deps.limits.headers,
      requestTimeout: deps.limits.receive,
      headersTimeout: Math.min(HEAD_TIMEOUT_MS, deps.limits.receive),
      connectionsCheckingInterval: Math.min(CHECK_MS, deps.limits.receive),
      // Its absence is refused in OpenAI's shape.
      requireHostHeader: false,
      // Other upgrades, such as to h2c, are offers that may be passed over (RFC 9110 section 7.8).
      shouldUpgradeCallback: ({ headers }) => /^websocket$/i.test(headers.upgrade ?? ''),
    },
    (request, response) => begin(request, response, false),
  )
  server.on('checkContinue', (request: ClientMessage, response: ServerResponse) =>
    begin(request, response, true),
  )

  /** @param request null where there is nothing that could be called one. */
  const count = (status: number, failure: BallastError, request: IncomingMessage | null) => {
    deps.metrics.requestFinished(UNROUTED, status, 0)
    if (!logsRequests(deps.log)) return
    const { method = '', url: target = '' } = request ?? {}
    const unknown = { client: null, durationMs: 0, traceId: null }
    logRequest(deps.log, { id: randomUUID(), method, target, status, failure, ...unknown })
  }
  /** Answers where there is no request to answer, and ends the connection. */
  const refuse = (socket: Duplex, error: BallastError, request: IncomingMessage | null) => {
    refused.add(socket)
    const { status, headers, body } = errorResponse(error)
    const fields = [...headers, 'connection', 'close'].map((it, index) =>
      index % 2 === 0 ? `\r\n${it}: ` : it,
    )
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}${fields.join('')}\r\n\r\n${body}`)
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), REFUSED_MS)
    socket.on('close', () => clearTimeout(timer))
    count(status, error, request)
  }
  // Without a listener an upgrade would end without a word.
  server.on('upgrade', (request, socket) => {
    const message = 'ballast does not relay WebSockets; connect to the provider.'
    refuse(socket, new BallastError('ballast_upgrade_unsupported', message, { source: 'client' }), request)
  })
  server.on('checkExpectation', (request, response: ServerResponse) => {
    const message = 'Of expectations only `100-continue` can be met.'
    const error = new BallastError('ballast_expectation_failed', message, { source: 'client' })
    const { status, headers, body } = errorResponse(error)
    response.writeHead(status, [...headers, 'connection', 'close']).end(body)
    count(status, error, request)
  })
  server.on('clientError', (thrown: NodeJS.ErrnoException, socket) => {
    if (refused.has(socket)) return
    // The client left; there is nobody to answer.
    if (thrown.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    const [code, message] = REFUSALS[thrown.code ?? ''] ?? NOT_HTTP
    const error = new BallastError(code, message, { source: 'client' })
    const [first, ...others] = running.get(socket) ?? []
    if (first === undefined) return refuse(socket, error, null)
    // The client left in the middle of its request.
    if (thrown.code === 'HPE_INVALID_EOF_STATE') return void socket.destroy()
    // An answer that has begun, or that another one waits for, cannot be followed by one about something else.
    refused.add(socket)
    if (others.length > 0 || !first.interrupt(error)) socket.destroy()
  })
  return server
}

/** What `node:http` refuses by itself, by its error code. */
const REFUSALS: Record<string, readonly [ErrorCode, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    'ballast_request_timeout',
    'The request did not come in whole in time (limits.receive).',
  ],
  HPE_HEADER_OVERFLOW: [
    'ballast_headers_too_large',
    "The request's head is larger than allowed (limits.headers).",
  ],
}
const NOT_HTTP: readonly [ErrorCode, string] = ['ballast_malformed_request', 'This is not an HTTP request.']
