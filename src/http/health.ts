/**
 * What every control plane has: metrics, health, who is let in, and how problems are told. Used by `admin.ts`, by
 * `ballast judge`, which has no more, and by the Worker's control plane.
 */
import { type ErrorHandler, Hono, type MiddlewareHandler, type NotFoundHandler } from 'hono'
import { basicAuth } from 'hono/basic-auth'
import { bearerAuth } from 'hono/bearer-auth'
import { some } from 'hono/combine'
import { HTTPException } from 'hono/http-exception'
import { timingSafeEqual } from 'hono/utils/buffer'
import { BallastError } from '../domain/errors.ts'
import type { Log } from '../domain/ports.ts'
import { errorResponse } from './errors.ts'
import { requireLocal } from './origin.ts'

export interface HealthDeps {
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>
  /** Null when it does its work, else why not. */
  readonly notReady: () => string | null
}

/** Metrics and health: nobody is asked for a token. */
export function createHealth(deps: HealthDeps): Hono {
  const app = new Hono()
  app.get('/healthz', (c) => c.text('ok\n'))
  app.get('/readyz', (c) => {
    const reason = deps.notReady()
    return reason === null ? c.text('ready\n') : c.text(`${reason}\n`, 503)
  })
  app.get('/metrics', async (c) => {
    const { text, contentType } = await deps.metrics()
    return c.body(text, 200, { 'content-type': contentType })
  })
  return app
}

export const notServed: NotFoundHandler = (c) =>
  c.json({ error: { message: `${c.req.method} ${c.req.path} is not served here.` } }, 404)

/** Tells what went wrong as far as the caller may know. */
export function failure(log: Log): ErrorHandler {
  return (error, c) => {
    if (error instanceof HTTPException) return refusal(error)
    if (error instanceof BallastError) {
      const { status, body } = errorResponse(error)
      return new Response(body, { status, headers: { 'content-type': 'application/json' } })
    }
    log.error({ err: error, path: c.req.path }, 'the control plane failed')
    return c.json({ error: { message: 'ballast failed to answer; its log says why.' } }, 500)
  }
}

/** Lets in who has the token; where there is none, this machine. */
export function guard(tokenInForce: () => string | null): MiddlewareHandler {
  return (c, next) => {
    const token = tokenInForce()
    return token === null ? local(c, next) : authenticate(token)(c, next)
  }
}

/** Without a token it listens on loopback only, and answers no foreign web page either. */
const local: MiddlewareHandler = async (c, next) => {
  requireLocal(c.req.header('host'), c.req.header('origin'))
  await next()
}

/** Programs send the token as `authorization: Bearer`; a browser asks for it as the password of the user `ballast`. */
function authenticate(token: string): MiddlewareHandler {
  return some(
    bearerAuth({ verifyToken: (given) => timingSafeEqual(given, token) }),
    basicAuth({ username: 'ballast', password: token }),
  )
}

/** What an authentication or a body that cannot be read is answered, in the shape of all problems. */
function refusal(error: HTTPException): Response {
  const headers = new Headers(error.getResponse().headers)
  headers.set('content-type', 'application/json')
  headers.delete('content-length')
  const message =
    error.status === 401
      ? 'The token is missing or wrong: send admin.token as "authorization: Bearer TOKEN", or sign in as ballast.'
      : error.message || 'The request cannot be read.'
  return new Response(JSON.stringify({ error: { message } }), { status: error.status, headers })
}
