/** How Durable Objects are called. Used by `env.ts` and by those that call them. */

/** Durable Objects of a class, each with a name; their methods are called from afar. */
export interface Objects<T> {
  getByName(name: string): {
    readonly [Method in keyof T]: T[Method] extends (...given: infer Given) => infer Result
      ? (...given: Given) => Promise<Awaited<Result>>
      : never
  }
}
