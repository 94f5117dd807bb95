/** What `store` in a configuration may be, and how it is shown: a URL of Postgres holds a password. */

/** What `config/schema.ts` tells editors; `storeProblem` says the rest. */
export const STORE_PATTERN = /^(memory|sqlite:.+|postgres(ql)?:\/\/.+)$/

/** A schema's name, short enough that pg-boss takes it with `_jobs` behind it. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,39}$/
const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full']

/** @returns what is wrong with it, without repeating it; null when nothing is. */
export function storeProblem(store: string): string | null {
  if (!STORE_PATTERN.test(store)) {
    return 'is not a store: use sqlite:PATH, memory or postgres://USER:PASSWORD@HOST:PORT/DATABASE'
  }
  if (!isPostgres(store)) return null
  if (!URL.canParse(store) || new URL(store).hash !== '') {
    return 'is not a URL: in its user and password, write characters such as # / ? @ and % as %23 %2F %3F %40 and %25'
  }
  const { searchParams } = new URL(store)
  const sslMode = searchParams.get('sslmode')
  if (sslMode !== null && !SSL_MODES.includes(sslMode)) {
    return `has an sslmode that is not one of ${SSL_MODES.join(', ')}`
  }
  if (sslMode === 'verify-ca' && !searchParams.has('sslrootcert')) {
    return 'has sslmode=verify-ca without sslrootcert, the file of the authority that signed the server'
  }
  const schema = searchParams.get('schema')
  if (schema !== null && !SCHEMA_NAME.test(schema)) {
    return 'has a schema whose name is not made of at most 40 lower-case letters, digits and underscores'
  }
  return null
}

export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:/.test(store)
}

/** The store as it may be printed and logged: without user, password and options. */
export function shownStore(store: string): string {
  if (!isPostgres(store)) return store
  if (!URL.canParse(store)) return 'postgres'
  const { host, hostname, port, pathname, searchParams } = new URL(store)
  const asked = searchParams.get('host')
  const place = hostname === '' && asked !== null ? asked + (port === '' ? '' : `:${port}`) : host
  return `postgres://${decoded(place)}${pathname}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
