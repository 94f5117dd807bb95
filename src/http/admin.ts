/** The control plane on Hono: metrics, health, the page and the JSON behind it. Composed by `node.ts`; `ballast judge` has metrics and health alone. */
import { type ErrorHandler, Hono, type MiddlewareHandler } from 'hono'
import { basicAuth } from 'hono/basic-auth'
import { bearerAuth } from 'hono/bearer-auth'
import { some } from 'hono/combine'
import { HTTPException } from 'hono/http-exception'
import { secureHeaders } from 'hono/secure-headers'
import { timingSafeEqual } from 'hono/utils/buffer'
import { BallastError } from '../domain/errors.ts'
import type { Log } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import { dashboardPage } from './dashboard.ts'
import { errorResponse } from './errors.ts'
import { requireLocal } from './origin.ts'

export interface HealthDeps {
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>
  /** Null when it does its work, else why not. */
  readonly notReady: () => string | null
}

export interface AdminDeps extends HealthDeps {
  readonly reports: () => Promise<readonly Report[]>
  readonly configHash: () => string
  /** Asked for everything but metrics and health; null asks for nothing. */
  readonly token: () => string | null
  readonly log: Log
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

export function createAdmin(deps: AdminDeps): Hono {
  const app = createHealth(deps)
  app.use(
    secureHeaders({
      contentSecurityPolicy: { defaultSrc: ["'none'"], styleSrc: ["'self'"], frameAncestors: ["'none'"] },
    }),
  )
  app.use(guard(deps.token))
  app.get('/', async (c) => c.html(dashboardPage(await deps.reports(), deps.configHash())))
  app.get('/style.css', (c) =>
    c.body(dashboardPage.style, 200, { 'content-type': 'text/css; charset=utf-8' }),
  )
  app.get('/api/experiments', async (c) => c.json(await deps.reports()))
  app.get('/api/config', (c) => c.json({ hash: deps.configHash() }))

  app.notFound((c) =>
    c.json({ error: { message: `${c.req.method} ${c.req.path} is not served here.` } }, 404),
  )
  app.onError(failure(deps.log))
  return app
}

/** Tells what went wrong as far as the caller may know. */
export function failure(log: Log): ErrorHandler {
  return (error, c) => {
    if (error instanceof HTTPException) return error.getResponse()
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
