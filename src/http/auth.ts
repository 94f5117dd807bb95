/** Client authentication on the data plane: the key in `authorization: Bearer …` tells the client (SPEC section 6). */
import { hash } from 'node:crypto'
import { BallastError } from '../domain/errors.ts'

export interface Client {
  readonly name: string
  readonly key: string
}

/** @returns the client's name, null where no clients are named. Throws `ballast_unknown_key`. */
export type Authenticate = (authorization: string | null) => string | null

/** Keys are compared by their hashes, so that time tells nothing about them. */
export function createAuthenticate(clients: readonly Client[] | null): Authenticate {
  if (clients === null) return () => null
  const names = new Map(clients.map(({ name, key }) => [digest(key), name]))
  return (authorization) => {
    const key = /^bearer +(.+)$/i.exec(authorization ?? '')?.[1]
    const name = key === undefined ? undefined : names.get(digest(key.trim()))
    if (name !== undefined) return name
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
