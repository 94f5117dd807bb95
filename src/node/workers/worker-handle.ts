/** One worker, as the process that has started it sees it. Made by `workers.ts`. */
import cluster from 'node:cluster'
import { extname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import type { Log } from '../../domain/ports.ts'
import { type PlainError, revivedError } from '../office-messages.ts'
import { type Handlers, Line, type LineMessage } from './line.ts'
import type { PrimaryRequests, Tally, WorkerRequests } from './messages.ts'

/** As the source or as it was built: whichever this file is. */
const FILE = fileURLToPath(new URL(`./worker-process${extname(import.meta.filename)}`, import.meta.url))
/** For a worker that has finished to go. */
const GO_MS = 5_000

export class WorkerHandle {
  readonly number: number
  readonly line: Line<WorkerRequests, PrimaryRequests>
  /** Resolves with why, when it has ended. */
  readonly ended: Promise<Error>
  /** Whether it knows what it serves by. */
  begun = false
  /** Whether it has ever served. */
  served = false
  /** Whether it has said that it cannot begin. */
  refused = false
  state: 'starting' | 'serving' | 'draining' = 'starting'
  /** What it told last. */
  tally: Tally | null = null
  /** How often in a row it was looked at without having told anything. */
  silent = 0
  private readonly worker: ReturnType<typeof cluster.fork>
  private readonly startedAt = performance.now()
  private reason: Error | null = null

  constructor(number: number, log: Log, handlers: Omit<Handlers<PrimaryRequests>, 'log'>) {
    this.number = number
    // Where they cannot listen each by itself: in turn, as connections stay for long, and whoever wakes first would take most.
    cluster.schedulingPolicy = cluster.SCHED_RR
    cluster.setupPrimary({ exec: FILE, args: [], serialization: 'advanced' })
    this.worker = cluster.fork()
    const { worker } = this
    const post = (messages: readonly LineMessage[]) => {
      if (worker.isConnected()) worker.process.send(messages as never, undefined, undefined, () => {})
    }
    this.line = new Line<WorkerRequests, PrimaryRequests>(post, {
      ...handlers,
      log: ({ level, fields, error, message }) =>
        log[level](
          { ...fields, worker: number, ...(error !== null && { err: revivedError(error) }) },
          message,
        ),
    })
    worker.on('message', (messages: readonly LineMessage[]) => this.line.receive(messages))
    worker.on('error', (error) => {
      this.reason ??= error
    })
    this.ended = new Promise((resolve) => {
      worker.on('exit', (code, signal) => {
        const how = signal === null ? `with exit code ${code}` : `by ${signal}`
        const when = this.served ? '' : ' before it served'
        const error = this.reason ?? new Error(`worker ${number} ended ${how}${when}`)
        this.line.end(error)
        resolve(error)
      })
    })
  }

  get pid(): number | null {
    return this.worker.process.pid ?? null
  }

  get livedMs(): number {
    return performance.now() - this.startedAt
  }

  serves(): void {
    this.served = true
    this.silent = 0
    if (this.state === 'starting') this.state = 'serving'
  }

  drains(): void {
    this.state = 'draining'
  }

  refuse(error: PlainError): void {
    this.refused = true
    this.reason = revivedError(error)
  }

  /** Lets it go, finished as it is. */
  disconnect(): void {
    if (this.worker.isConnected()) this.worker.process.disconnect()
    const slow = setTimeout(() => this.kill(), GO_MS)
    void this.ended.then(() => clearTimeout(slow))
  }

  kill(): void {
    this.worker.process.kill('SIGKILL')
  }
}
