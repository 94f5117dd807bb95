/** What becomes of requests while ballast ends, so that a proxy in front of it loses none. Raw sockets: a client would hide it. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

const YAML = 'store: memory\nupstreams: {p: {base_url: "${UPSTREAM}"}}\nroutes: [{model: "*", upstream: p}]\n'
const DRAIN_MS = 60_000
/** Longer than late requests are answered. */
const TOO_LATE_MS = 1_300

const BODY = '{"model": "m", "messages": []}'
const request = (host: string) =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`

async function start() {
  /** Ends the answers that are held. */
  const held: (() => void)[] = []
  let hold = false
  const upstream = await startTestUpstream(async (_request, response) => {
    if (hold) await new Promise<void>((resolve) => held.push(resolve))
    json(response, 200, completion('By train.'))
  })
  const ballast = await startTestBallast(YAML, { UPSTREAM: upstream.url })
  const { host, hostname, port } = new URL(ballast.url)
  const open = async () => {
    const socket = connect(Number(port), hostname)
    onTestFinished(() => void socket.destroy())
    await new Promise((resolve) => socket.once('connect', resolve))
    return new Connection(socket, host)
  }
  return {
    ballast,
    upstream,
    open,
    hold: () => {
      hold = true
    },
    release: () => {
      hold = false
      for (const end of held.splice(0)) end()
    },
  }
}

class Connection {
  text = ''
  closed = false
  private readonly socket: Socket
  private readonly host: string

  constructor(socket: Socket, host: string) {
    this.socket = socket
    this.host = host
    socket.on('data', (chunk) => {
      this.text += chunk
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  ask(): void {
    this.socket.write(request(this.host))
  }

  /** Waits for so many answers, and returns the statuses. */
  async statuses(count: number): Promise<string[]> {
    const found = () => [...this.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]!)
    await eventually(() => found().length >= count)
    return found()
  }
}

describe('while ballast ends', () => {
  test('a request that comes on a kept connection is answered, and told that it is the last one there', async () => {
    const { ballast, open } = await start()
    const connection = await open()
    connection.ask()
    await connection.statuses(1)
    expect(connection.text).not.toMatch(/connection: close/i)
    const closing = ballast.close(DRAIN_MS)
    await sleep(200)
    connection.ask()
    expect(await connection.statuses(2)).toEqual(['200', '200'])
    expect(connection.text).toMatch(/connection: close/i)
    await closing
    expect(connection.closed).toBe(true)
  })

  test('an answer that begins only then ends its connection, too', async () => {
    const { ballast, open, upstream, hold, release } = await start()
    hold()
    const connection = await open()
    connection.ask()
    await eventually(() => upstream.requests.length === 1)
    expect(metricValue(await ballast.metrics(), 'ballast_requests_in_flight')).toBe(1)
    const closing = ballast.close(DRAIN_MS)
    await sleep(100)
    release()
    expect(await connection.statuses(1)).toEqual(['200'])
    await closing
    expect(connection.text).toMatch(/connection: close/i)
  })

  test('connections on which nothing comes are closed after a second, and it ends', async () => {
    const { ballast, open } = await start()
    const connection = await open()
    connection.ask()
    await connection.statuses(1)
    const began = Date.now()
    await ballast.close(DRAIN_MS)
    expect(Date.now() - began).toBeLessThan(DRAIN_MS / 2)
    expect(connection.closed).toBe(true)
  })

  test('nor do connections stay that never said anything, as clients open them in advance', async () => {
    const { ballast, open } = await start()
    const connection = await open()
    const before = performance.now()
    await ballast.close(DRAIN_MS)
    expect(performance.now() - before).toBeLessThan(DRAIN_MS / 2)
    expect(connection.closed).toBe(true)
  })

  test('a request that comes later than that is refused with ballast_draining', async () => {
    const { ballast, open, upstream } = await start()
    let finish = () => {}
    upstream.answer = (_request, response) => {
      response.write('{')
      finish = () => void response.end('}')
    }
    const connection = await open()
    connection.ask()
    // Its head is out before ballast ends, so it says nothing of a last one.
    await connection.statuses(1)
    const closing = ballast.close(DRAIN_MS)
    await sleep(TOO_LATE_MS)
    connection.ask()
    await sleep(100)
    finish()
    expect(await connection.statuses(2)).toEqual(['200', '503'])
    await eventually(() => connection.text.includes('ballast_draining'))
    await closing
    expect(upstream.requests).toHaveLength(1)
  })
})
