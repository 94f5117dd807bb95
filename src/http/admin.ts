/** The control plane on Hono: metrics, health, the page and the JSON behind it. Composed by `node.ts`. */
import type { Hono } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import type { Log } from '../domain/ports.ts'
import type { Api } from './api/api.ts'
import { openApiDocument } from './api/openapi.ts'
import { createApi } from './api/routes.ts'
import { createHealth, failure, guard, type HealthDeps, notServed } from './health.ts'
import { createPage } from './page.ts'

export interface AdminDeps extends HealthDeps {
  readonly api: Api
  /** Asked for everything but metrics and health; null asks for nothing. */
  readonly token: () => string | null
  readonly log: Log
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
  app.use(guard(deps.token))
  app.route('/', createPage())
  const routes = createApi(deps.api)
  const document = openApiDocument(routes)
  app.get('/api/openapi.json', (c) => c.json(document))
  app.route('/api', routes)

  app.notFound(notServed)
  app.onError(failure(deps.log))
  return app
}
