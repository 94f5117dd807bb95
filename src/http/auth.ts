/** Client authentication on the data plane: the key in `authorization: Bearer …` tells the client (SPEC section 6). */
import { hash } from 'node:crypto'
import { BallastError } from '../domain/errors.ts'

export interface Client {
  readonly name: string
  readonly key: string
}

/** @returns the client's name, null where no clients are named. Throws `ballast_unknown_key`. */
export type Authenticate = (authorization: string | null) => string | null

/** Ways to write the headers that are known by heart: each key has a few, by spaces and upper case. */
const KNOWN_HEADERS = 1_000
const LONGEST_KNOWN_HEADER = 512

/**
 * Keys are compared by their hashes, so that time tells nothing about them. A header that was right once is known by
 * heart, which saves 2 µs a request: it is found by V8's hash of it, which is seeded by chance, and only a header with
 * the very same hash is ever compared with it byte by byte. So time tells whether a header is right, as the answer does,
 * but not how near a wrong one is.
 */
export function createAuthenticate(clients: readonly Client[] | null): Authenticate {
  if (clients === null) return () => null
  const names = new Map(clients.map(({ name, key }) => [digest(key), name]))
  const known = new Map<string, string>()
  return (authorization) => {
    const before = authorization === null ? undefined : known.get(authorization)
    if (before !== undefined) return before
    const key = /^bearer +(.+)$/i.exec(authorization ?? '')?.[1]
    const name = key === undefined ? undefined : names.get(digest(key.trim()))
    if (name !== undefined) {
      if (known.size >= KNOWN_HEADERS) known.clear()
      if (authorization!.length <= LONGEST_KNOWN_HEADER) known.set(authorization!, name)
      return name
    }
    throw new BallastError(
      'ballast_unknown_key',
      key === undefined
        ? 'No key was given: send `authorization: Bearer KEY` with a key of this ballast.'
        : 'This key is not known to ballast.',
      { source: 'client' },
    )
  }
}

function digest(key: string): string {
  return hash('sha256', key, 'hex')
}
