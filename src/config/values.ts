/** Values of the configuration that are written as text, or may come from the environment. Used by `schema.ts`. */
import { isIPv6 } from 'node:net'
import bytes from 'bytes'
import ms from 'ms'
import { z } from 'zod'

/** `5s`, `2m`, `1h` -> milliseconds. */
export const Duration = z
  .string('is a duration with a unit, such as 500ms, 5s or 2m')
  .meta({ pattern: '^[0-9]*\\.?[0-9]+ *[A-Za-z]+$' })
  .transform((text, context) => {
    const value = /[a-z]/i.test(text) ? ms(text as ms.StringValue) : undefined
    if (value !== undefined && Number.isFinite(value) && value > 0) return value
    context.addIssue({ code: 'custom', message: 'is a duration with a unit, such as 500ms, 5s or 2m' })
    return z.NEVER
  })

const SIZE = /^ *[0-9]+(\.[0-9]+)? *[KMGTPkmgtp]?[Bb] *$/

/** `64MB` -> bytes. */
export const Size = z
  .string('is a size with a unit, such as 512KB or 64MB')
  .meta({ pattern: SIZE.source })
  .transform((text, context) => {
    // The library takes any word for bytes.
    const value = SIZE.test(text) ? bytes.parse(text) : null
    if (value !== null && value > 0) return value
    context.addIssue({ code: 'custom', message: 'is a size with a unit, such as 512KB or 64MB' })
    return z.NEVER
  })

export interface Address {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:8787`, `[::1]:8787`, `:8787` (all interfaces). Port 0 lets the system choose. */
export const AddressText = z
  .string('is an address such as 127.0.0.1:8787')
  .meta({ pattern: ':[0-9]{1,5}$' })
  .transform((text, context): Address => {
    const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
    const port = Number(match?.[3])
    if (match !== null && port <= 65_535 && (match[1] === undefined || isIPv6(match[1]))) {
      return { host: match[1] ?? (match[2] || '0.0.0.0'), port }
    }
    context.addIssue({ code: 'custom', message: 'is an address such as 127.0.0.1:8787' })
    return z.NEVER
  })

export function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Numbers may come from the environment, as text. */
export const whole = (least: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.number().int('is a whole number').min(least, `is at least ${least}`),
  )

/** A secret that is sent in a header. */
export const Secret = (least: number, what: string) =>
  z
    .string()
    .min(least, `is too short: a ${what} has at least ${least} characters`)
    .regex(/^[\x21-\x7e]*$/, `holds a space, a line end or another character that no header can carry`)

export const BaseUrl = z
  .string()
  .meta({ pattern: '^[Hh][Tt][Tt][Pp][Ss]?:' })
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : null
    const problem =
      url === null || !/^https?:$/.test(url.protocol)
        ? 'is not an http(s) URL'
        : url.username !== '' || url.password !== ''
          ? 'holds credentials: put them in api_key'
          : url.search !== '' || url.hash !== ''
            ? 'has a query or fragment, which would be lost'
            : null
    if (url !== null && problem === null) return url.href.replace(/\/+$/, '')
    context.addIssue({ code: 'custom', message: `${problem}; an example is https://api.openai.com/v1` })
    return z.NEVER
  })

export const HEADER_NAME = /^[A-Za-z0-9!#$%&'+.^_`|~-]+$/

/** What may pass: names, or prefixes with a `*` at the end. */
export const HeaderList = z
  .array(
    z
      .string()
      .regex(
        /^(?:[A-Za-z0-9!#$%&'+.^_`|~-]+\*?|\*)$/,
        'is not a header name, a beginning of names such as x-mine-*, or "default"',
      )
      .transform((name) => name.toLowerCase()),
  )
  .default(['default'])

export const HeaderValue = z
  .string()
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'is empty, or holds what no header can carry')
