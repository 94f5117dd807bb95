/**
 * A load generator on raw sockets, for what wrk cannot do: the time to the first byte, gaps in streams, large bodies; and
 * for everything where there is no wrk. A process of its own, started by `load.ts` with its task as JSON; prints
 * its findings as JSON. Closed loop: each connection sends its next request when the last answer is over.
 */
import { connect, type Socket } from 'node:net'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { HttpReader, type ReaderEvents } from './http-reader.ts'
import { makeTemplate, numbersOf, type Template, type Wish } from './request.ts'

export interface Task {
  readonly port: number
  readonly headers: readonly string[]
  readonly wish: Wish
  readonly connections: number
  /** No request begins later than this; those under way end. */
  readonly milliseconds: number
  /** The connections begin one after the other within this time, so that streams do not go in step. */
  readonly rampMs: number
  /** At most so many requests in all. */
  readonly most: number
  /** The number of the first request. */
  readonly first: number
}

/** Percentiles in milliseconds. */
export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Findings {
  /** Answered whole and with 200. */
  readonly requests: number
  readonly seconds: number
  readonly failed: number
  /** What the first failures were. */
  readonly failures: readonly string[]
  readonly latency: Percentiles
  /** From sending a request to the first byte of the answer's body. */
  readonly firstByte: Percentiles
  /** Between the pieces of an answer, and the longest one of each answer. */
  readonly gap: Percentiles
  readonly longestGap: Percentiles
}

const RECONNECT_MS = 50
const FAILURES_TOLD = 3
/** An answer that does not come fails the run instead of holding it up. */
const PATIENCE_MS = 60_000

class Load {
  readonly task: Task
  readonly template: Template
  readonly latency = createHistogram({ figures: 3 })
  readonly firstByte = createHistogram({ figures: 3 })
  readonly gap = createHistogram({ figures: 3 })
  readonly longestGap = createHistogram({ figures: 3 })
  readonly failures: string[] = []
  requests = 0
  failed = 0
  private begun = 0
  private readonly endsAt: number

  constructor(task: Task) {
    this.task = task
    this.template = makeTemplate(task.port, task.headers, task.wish)
    this.endsAt = performance.now() + task.milliseconds
  }

  /** The next request's numbers, or null when there is to be none. */
  next(): [string, string] | null {
    if (this.begun >= this.task.most || performance.now() >= this.endsAt) return null
    return numbersOf(this.task.first + this.begun++)
  }

  fail(reason: string): void {
    this.failed++
    if (this.failures.length < FAILURES_TOLD) this.failures.push(reason)
  }
}

function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1000)))
}

/** One connection and its requests, one after the other. */
class Client implements ReaderEvents {
  private readonly load: Load
  private readonly done: () => void
  private readonly pieces: readonly [Buffer, Buffer, Buffer]
  private socket: Socket | null = null
  private busy = false
  private status = 0
  private sentAt = 0
  private pieceAt = 0
  private longest = 0

  constructor(load: Load, done: () => void) {
    this.load = load
    this.done = done
    this.pieces = load.template.pieces.map((it) => Buffer.from(it)) as [Buffer, Buffer, Buffer]
  }

  begin(): void {
    const socket = connect(this.load.task.port, '127.0.0.1')
    const reader = new HttpReader(this)
    this.socket = socket
    socket.setNoDelay(true)
    socket.setTimeout(PATIENCE_MS, () =>
      socket.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)),
    )
    socket.on('connect', () => this.send())
    let reason = 'the connection was closed'
    socket.on('data', (bytes) => {
      try {
        reader.push(bytes)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.on('error', (error) => {
      reason = error.message
    })
    socket.on('close', () => this.closed(reason))
  }

  private send(): void {
    const numbers = this.load.next()
    if (numbers === null) {
      this.busy = false
      this.socket!.end()
      return
    }
    const [a, b, c] = this.pieces
    this.busy = true
    this.pieceAt = 0
    this.longest = 0
    this.sentAt = performance.now()
    this.socket!.cork()
    this.socket!.write(a)
    this.socket!.write(numbers[0])
    this.socket!.write(b)
    this.socket!.write(numbers[1])
    this.socket!.write(c)
    this.socket!.uncork()
  }

  private closed(reason: string): void {
    if (this.busy) this.load.fail(reason)
    const finished = !this.busy
    this.busy = false
    if (finished) this.done()
    else setTimeout(() => this.begin(), RECONNECT_MS)
  }

  onHead(status: number): void {
    this.status = status
  }

  onBody(): void {
    const now = performance.now()
    if (this.pieceAt === 0) record(this.load.firstByte, now - this.sentAt)
    else {
      const gap = now - this.pieceAt
      record(this.load.gap, gap)
      if (gap > this.longest) this.longest = gap
    }
    this.pieceAt = now
  }

  onEnd(): void {
    if (this.status === 200) {
      this.load.requests++
      record(this.load.latency, performance.now() - this.sentAt)
      if (this.longest > 0) record(this.load.longestGap, this.longest)
    } else this.load.fail(`status ${this.status}`)
    this.send()
  }
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const at = (percent: number) => (histogram.count === 0 ? 0 : histogram.percentile(percent) / 1000)
  return { p50: at(50), p99: at(99), max: at(100) }
}

async function generate(task: Task): Promise<Findings> {
  const load = new Load(task)
  const startedAt = performance.now()
  await Promise.all(
    Array.from(
      { length: task.connections },
      (_, index) =>
        new Promise<void>((resolve) => {
          const client = new Client(load, resolve)
          setTimeout(() => client.begin(), (index * task.rampMs) / task.connections)
        }),
    ),
  )
  return {
    requests: load.requests,
    seconds: (performance.now() - startedAt) / 1000,
    failed: load.failed,
    failures: load.failures,
    latency: percentiles(load.latency),
    firstByte: percentiles(load.firstByte),
    gap: percentiles(load.gap),
    longestGap: percentiles(load.longestGap),
  }
}

process.stdout.write(`${JSON.stringify(await generate(JSON.parse(process.argv[2]!) as Task))}\n`)
