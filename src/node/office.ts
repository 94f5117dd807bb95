/**
 * The main thread's side of the back office: starts its thread, hands over what is to be stored, asks for reports, and
 * replaces the thread when it dies. Composed by `node.ts`.
 *
 * What was handed over and not acknowledged is kept here and handed over again to a replacement.
 */
import { access } from 'node:fs/promises'
import { extname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Config } from '../config/load.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import type { ArmEvent, QueueStatus } from '../domain/store.ts'
import type { CountedExposures } from '../pipeline/exposure-counts.ts'
import type { FiledExchange } from '../pipeline/filing.ts'
import type { Keeper, SampledExchange } from '../pipeline/record.ts'
import type { DeskRequests } from './desk-requests.ts'
import {
  type Answer,
  type Argument,
  countForwarded,
  type OfficeConfig,
  type OfficeMessage,
  type OfficeRequest,
  type RequestName,
  revivedError,
  type ThreadData,
} from './office-messages.ts'
import { Outbox } from './outbox.ts'

export interface OfficeDeps {
  /** Whether this process judges; else it leaves that to others. */
  readonly judges: boolean
  /** Whether its thread traces, too, by the environment. */
  readonly traced: boolean
  readonly metrics: Metrics
  readonly log: Log
}

/** As the source or as it was built: whichever this file is. */
const THREAD_FILE = new URL(`./office-thread${extname(import.meta.filename)}`, import.meta.url)
/** A thread that wants more ends by itself; without a limit it might take the proxy's memory, too. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 2_048 }
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 10_000
/** A thread that lived so long has not died of how it began. */
const LONG_LIFE_MS = 60_000
/** An exchange with which so many threads died, alone at last, is not tried again. */
const MOST_TRIES = 3
/** For the thread to give its samples back and close the store. */
const CLOSE_MS = 15_000

/** Something asked for that has not been answered. */
interface Pending {
  readonly name: RequestName
  /** The request, made anew each time: what is given away with it is gone. */
  readonly make: () => { argument: unknown; transfer: ArrayBuffer[] }
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  /** How many threads were asked. */
  tries: number
}

export class Office implements Keeper {
  private readonly deps: OfficeDeps
  private config: OfficeConfig
  private begun = false
  private worker: Worker | null = null
  /** Resolves when the worker has ended. */
  private ended: Promise<void> = Promise.resolve()
  private ready = false
  private outbox: Outbox<OfficeRequest> | null = null
  private lastId = 0
  private readonly pending = new Map<number, Pending>()
  /** Exchanges that a thread died with: asked again one at a time, so that it shows which one it was. */
  private again: number[] = []
  private wait = FIRST_WAIT_MS
  private replacing: NodeJS.Timeout | null = null
  private closing = false

  /** @throws Error when the store cannot be opened. Nothing is judged before `use`. */
  static async start(config: Config, deps: OfficeDeps): Promise<Office> {
    // The pool of threads begins with its first task and takes its priority from whoever gave it: not from the office.
    await access(fileURLToPath(THREAD_FILE))
    const office = new Office(config, deps)
    await office.open()
    return office
  }

  private constructor(config: Config, deps: OfficeDeps) {
    this.config = sendable(config)
    this.deps = deps
  }

  /**
   * Puts a configuration in force. Where the thread is being replaced, the next one begins with it.
   * @throws Error when it cannot be: then the one before stays.
   */
  async use(config: Config): Promise<void> {
    const next = sendable(config)
    if (this.ready || !this.begun) await this.ask('use', next)
    this.begun = true
    this.config = next
  }

  expose(exposures: readonly CountedExposures[]): Promise<void> {
    return this.ask('expose', exposures)
  }

  keep({ tap, ...exchange }: SampledExchange): Promise<DrawnOutcome> {
    return this.hand(exchange, () => tap.copy())
  }

  /** One that is in one piece already: a worker's. */
  file({ answer, ...exchange }: FiledExchange): Promise<DrawnOutcome> {
    return this.hand(exchange, () => new Uint8Array(answer))
  }

  private hand(
    { body, ...facts }: Omit<FiledExchange, 'answer'>,
    copyAnswer: () => Uint8Array<ArrayBuffer>,
  ): Promise<DrawnOutcome> {
    // A view would take all of the memory it looks at along, which may be much more.
    const make = () => {
      const [request, answer] = [new Uint8Array(body), copyAnswer()]
      return { argument: { ...facts, body: request, answer }, transfer: [request.buffer, answer.buffer] }
    }
    return this.request('file', make) as Promise<DrawnOutcome>
  }

  /** At most a moment old. @throws Error when they do not come within so many milliseconds. */
  reports(withinMs: number): Promise<readonly Report[]> {
    return this.ask('reports', false, withinMs)
  }

  /** Of all that is stored by now. */
  freshReports(): Promise<readonly Report[]> {
    return this.ask('reports', true)
  }

  /** @throws Error when it does not come within so many milliseconds. */
  queue(withinMs?: number): Promise<QueueStatus> {
    return this.ask('queue', undefined, withinMs)
  }

  armEvents(): Promise<ArmEvent[]> {
    return this.ask('armEvents', undefined)
  }

  /** For the control plane. @throws Error when the answer does not come within so many milliseconds. */
  atDesk<N extends keyof DeskRequests>(name: N, argument: Argument<N>, withinMs: number): Promise<Answer<N>> {
    return this.ask(name, argument, withinMs)
  }

  /** Before the end: what is not stored after so many milliseconds is given up. */
  giveUpAfter(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.closing = true
      this.giveUp()
    }, ms)
  }

  /** Ends the thread in good order. */
  async close(): Promise<void> {
    this.closing = true
    if (this.replacing !== null) clearTimeout(this.replacing)
    const { worker } = this
    if (worker === null) return this.giveUp()
    const slow = setTimeout(() => void worker.terminate(), CLOSE_MS)
    if (this.ready) {
      await this.ask('close', undefined).catch((error: unknown) =>
        this.deps.log.error({ err: error }, 'the back office was not closed in order'),
      )
    } else await worker.terminate()
    await this.ended
    clearTimeout(slow)
  }

  /** Starts a thread. @throws Error when it cannot begin. */
  private open(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { config, begun } = this
    const workerData: ThreadData = { config, judges: this.deps.judges, begun, traced: this.deps.traced }
    const worker = new Worker(THREAD_FILE, {
      workerData,
      resourceLimits: RESOURCE_LIMITS,
      name: 'back office',
    })
    this.worker = worker
    const startedAt = performance.now()
    let failure: unknown = null
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    this.ended = ended
    worker.on('message', (messages: readonly OfficeMessage[]) => {
      for (const message of messages) {
        if (message.kind === 'refused') failure = revivedError(message.error)
        else if (message.kind === 'ready') {
          this.begin(worker)
          resolve()
        } else this.receive(message)
      }
    })
    worker.on('error', (error) => {
      failure = error
    })
    worker.on('exit', (code) => {
      const error = failure ?? new Error(`the back office ended with ${code}`)
      this.worker = null
      this.ready = false
      this.outbox = null
      this.bury()
      end()
      reject(error as Error)
      // Whoever starts the first one is told, and nothing starts.
      if (!this.begun) this.closing = true
      if (this.closing) return this.giveUp()
      this.replace(error, performance.now() - startedAt)
    })
    return promise
  }

  private begin(worker: Worker): void {
    this.ready = true
    this.outbox = new Outbox((requests, transfer) => worker.postMessage(requests, transfer))
    // Exposures before the exchanges that a thread died with.
    const tried = (it: Pending) => it.name === 'file' && it.tries > 0
    for (const [id, it] of this.pending) if (!tried(it)) this.send(id, it)
    this.again = [...this.pending].filter(([, it]) => tried(it)).map(([id]) => id)
    this.sendAgain()
  }

  private replace(error: unknown, livedMs: number): void {
    const { log, metrics } = this.deps
    if (livedMs > LONG_LIFE_MS) this.wait = FIRST_WAIT_MS
    const waitMs = this.wait
    this.wait = Math.min(2 * waitMs, LONGEST_WAIT_MS)
    log.error(
      { err: error, waitMs },
      'the back office has died and is replaced; requests are served meanwhile',
    )
    this.replacing = setTimeout(() => {
      metrics.officeRestart()
      // Its end leads here again.
      this.open().catch(() => {})
    }, waitMs)
  }

  /** After a thread's death: what cannot be asked again fails. */
  private bury(): void {
    for (const [id, { name, tries }] of [...this.pending]) {
      if (name === 'use' || name === 'close')
        this.fail(id, new Error('the back office died before it had answered'))
      else if (name === 'file' && tries >= MOST_TRIES) {
        this.deps.log.error(
          { tries },
          'an exchange was given up: the back office died with it again and again',
        )
        this.answer(id, 'store_error')
      }
    }
  }

  private ask<N extends RequestName>(name: N, argument: Argument<N>, withinMs?: number): Promise<Answer<N>> {
    const make = () => ({ argument, transfer: [] })
    return this.request(name, make, withinMs) as Promise<Answer<N>>
  }

  private request(name: RequestName, make: Pending['make'], withinMs?: number): Promise<unknown> {
    const id = ++this.lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const pending = { name, make, resolve, reject, tries: 0 }
    this.pending.set(id, pending)
    if (this.closing && name !== 'close') this.giveUp()
    else if (this.ready) this.send(id, pending)
    if (withinMs === undefined) return promise
    const late = () => this.fail(id, new Error(`the back office did not answer within ${withinMs / 1000} s`))
    const timer = setTimeout(late, withinMs)
    return promise.finally(() => clearTimeout(timer))
  }

  private send(id: number, pending: Pending): void {
    pending.tries++
    const { argument, transfer } = pending.make()
    this.outbox!.send({ id, name: pending.name, argument } as OfficeRequest, transfer)
  }

  private sendAgain(): void {
    this.again = this.again.filter((id) => this.pending.has(id))
    const [id] = this.again
    if (id !== undefined) this.send(id, this.pending.get(id)!)
  }

  private receive(message: Exclude<OfficeMessage, { kind: 'ready' | 'refused' }>): void {
    const { log, metrics } = this.deps
    switch (message.kind) {
      case 'answer':
        return this.answer(message.id, message.value)
      case 'failed':
        return this.fail(message.id, revivedError(message.error))
      case 'metric':
        return countForwarded(metrics, message.call)
      case 'log': {
        const { level, fields, error } = message
        log[level](error === null ? fields : { ...fields, err: revivedError(error) }, message.message)
      }
    }
  }

  private answer(id: number, value: unknown): void {
    this.take(id)?.resolve(value)
  }

  private fail(id: number, error: Error): void {
    this.take(id)?.reject(error)
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id)
    this.pending.delete(id)
    if (id === this.again[0]) {
      this.again.shift()
      if (this.ready) this.sendAgain()
    }
    return pending
  }

  private giveUp(): void {
    for (const [id, { name }] of [...this.pending]) {
      if (name === 'file') this.answer(id, 'store_error')
      else if (name !== 'close') this.fail(id, new Error('ballast has stopped'))
    }
  }
}

function sendable({ place: _, ...config }: Config): OfficeConfig {
  return config
}
