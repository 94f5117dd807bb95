/** The control plane on Hono: metrics, health, the page and the JSON behind it. Composed by `node.ts`; `ballast judge` has metrics and health alone. */
import { Hono, type MiddlewareHandler } from 'hono'
import { basicAuth } from 'hono/basic-auth'
import { bearerAuth } from 'hono/bearer-auth'
import { some } from 'hono/combine'
import { HTTPException } from 'hono/http-exception'
import { secureHeaders } from 'hono/secure-headers'
import { timingSafeEqual } from 'hono/utils/buffer'
import { BallastError } from '../domain/errors.ts'
import type { Log } from '../domain/ports.ts'
import type { Api } from './api/api.ts'
import { openApiDocument } from './api/openapi.ts'
import { createApi } from './api/routes.ts'
import { errorResponse } from './errors.ts'
import { requireLocal } from './origin.ts'
import { createPage } from './page.ts'

export interface HealthDeps {
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>
  /** Null when it does its work, else why not. */
  readonly notReady: () => string | null
}

export interface AdminDeps extends HealthDeps {
  readonly api: Api
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
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        // No text can become markup, whatever a script does with it.
        requireTrustedTypesFor: ["'script'"],
        trustedTypes: ["'none'"],
      },
    }),
  )
  app.use((c, next) => {
    const token = deps.token()
    return token === null ? local(c, next) : authenticate(token)(c, next)
  })
  app.route('/', createPage())
  const routes = createApi(deps.api)
  const document = openApiDocument(routes)
  app.get('/api/openapi.json', (c) => c.json(document))
  app.route('/api', routes)

  app.notFound((c) =>
    c.json({ error: { message: `${c.req.method} ${c.req.path} is not served here.` } }, 404),
  )
  app.onError((error, c) => {
    if (error instanceof HTTPException) return refusal(error)
    if (error instanceof BallastError) {
      const { status, body } = errorResponse(error)
      return new Response(body, { status, headers: { 'content-type': 'application/json' } })
    }
    deps.log.error({ err: error, path: c.req.path }, 'the control plane failed')
    return c.json({ error: { message: 'ballast failed to answer; its log says why.' } }, 500)
  })
  return app
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
