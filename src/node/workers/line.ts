/**
 * Requests and answers between two processes, both ways, over whatever posts messages: what is said in one turn of the event
 * loop is posted together. Used on both sides of `workers.ts` and `worker-process.ts`.
 */
import { type PlainError, plainError, revivedError } from '../office-messages.ts'
import { Outbox } from '../outbox.ts'

// biome-ignore lint/suspicious/noExplicitAny: a request may take and give anything
export type Requests = Record<string, (argument: any) => any>

export type Handlers<R extends Requests> = {
  readonly [N in keyof R]: (argument: Parameters<R[N]>[0]) => ReturnType<R[N]> | Promise<ReturnType<R[N]>>
}

export type LineMessage =
  | { readonly kind: 'ask'; readonly id: number; readonly name: string; readonly argument: unknown }
  | { readonly kind: 'tell'; readonly name: string; readonly argument: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export class Line<Theirs extends Requests, Ours extends Requests> {
  private readonly outbox: Outbox<LineMessage>
  private readonly handlers: Handlers<Ours>
  private readonly pending = new Map<number, Pending>()
  private lastId = 0
  private over: Error | null = null

  /** @param handlers do what the other side asks for. */
  constructor(post: (messages: readonly LineMessage[]) => void, handlers: Handlers<Ours>) {
    this.outbox = new Outbox(post)
    this.handlers = handlers
  }

  /** @throws Error when the other side fails, is gone, or does not answer within so many milliseconds. */
  ask<N extends keyof Theirs & string>(
    name: N,
    argument: Parameters<Theirs[N]>[0],
    withinMs?: number,
  ): Promise<ReturnType<Theirs[N]>> {
    if (this.over !== null) return Promise.reject(this.over)
    const id = ++this.lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.pending.set(id, { resolve, reject })
    this.outbox.send({ kind: 'ask', id, name, argument })
    const answer = promise as Promise<ReturnType<Theirs[N]>>
    if (withinMs === undefined) return answer
    const timer = setTimeout(() => {
      this.pending.delete(id)
      reject(new Error(`"${name}" was not answered within ${withinMs / 1000} s`))
    }, withinMs)
    return answer.finally(() => clearTimeout(timer))
  }

  /** Wants no answer. */
  tell<N extends keyof Theirs & string>(name: N, argument: Parameters<Theirs[N]>[0]): void {
    if (this.over === null) this.outbox.send({ kind: 'tell', name, argument })
  }

  receive(messages: readonly LineMessage[]): void {
    for (const message of messages) {
      if (message.kind === 'ask' || message.kind === 'tell') void this.handle(message)
      else {
        const pending = this.pending.get(message.id)
        this.pending.delete(message.id)
        if (message.kind === 'answer') pending?.resolve(message.value)
        else pending?.reject(revivedError(message.error))
      }
    }
  }

  /** The other side is gone: what it was asked fails. */
  end(error: Error): void {
    this.over = error
    for (const { reject } of this.pending.values()) reject(error)
    this.pending.clear()
  }

  /** Posts what there is now. */
  flush(): void {
    this.outbox.flush()
  }

  private async handle(message: Extract<LineMessage, { kind: 'ask' | 'tell' }>): Promise<void> {
    const id = message.kind === 'ask' ? message.id : null
    const answer = (reply: LineMessage) => {
      if (this.over === null && id !== null) this.outbox.send(reply)
    }
    try {
      const value = await this.handlers[message.name]!(message.argument)
      answer({ kind: 'answer', id: id!, value })
    } catch (error) {
      answer({ kind: 'failed', id: id!, error: plainError(error) })
    }
  }
}
