/** Gathers messages to another thread and posts them together, once per turn of the event loop. Used on both sides of the office. */
import type { Transferable } from 'node:worker_threads'

type Post<T> = (messages: readonly T[], transfer: readonly Transferable[]) => void

export class Outbox<T> {
  private readonly post: Post<T>
  private messages: T[] = []
  private transfer: Transferable[] = []
  private timer: NodeJS.Immediate | null = null

  constructor(post: Post<T>) {
    this.post = post
  }

  /** @param transfer what of the message is given away instead of copied. */
  send(message: T, transfer: readonly Transferable[] = []): void {
    this.messages.push(message)
    this.transfer.push(...transfer)
    this.timer ??= setImmediate(() => this.flush())
  }

  /** Posts what there is now. */
  flush(): void {
    if (this.timer !== null) clearImmediate(this.timer)
    this.timer = null
    const { messages, transfer } = this
    this.messages = []
    this.transfer = []
    if (messages.length > 0) this.post(messages, transfer)
  }
}
