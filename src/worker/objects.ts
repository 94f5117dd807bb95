/** Durable Objects as who calls them sees them. Used by `env.ts` and by what hands them on. */

/** Durable Objects of a class, each with a name; their methods are called from afar. */
export interface Objects<T> {
  getByName(name: string): {
    readonly [Method in keyof T]: T[Method] extends (...given: infer Given) => infer Result
      ? (...given: Given) => Promise<Awaited<Result>>
      : never
  }
}
