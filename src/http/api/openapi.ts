/** The OpenAPI document of `/api`, made of its routes. Served at `/api/openapi.json`; kept in `docs/`, by `npm run schema`. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Api } from './api.ts'
import { createApi } from './routes.ts'

/** The version of `/api` itself: what is added raises the second number, what breaks clients the first. */
const API_VERSION = '1.0.0'

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

export function openApiDocument(routes: OpenAPIHono = createApi(UNASKED)): OpenApiDocument {
  routes.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: '`admin.token`. Without one, the control plane listens on localhost only and asks for none.',
  })
  routes.openAPIRegistry.registerComponent('securitySchemes', 'basic', {
    type: 'http',
    scheme: 'basic',
    description: 'For browsers: user `ballast`, password `admin.token`.',
  })
  return routes.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'ballast control plane',
      version: API_VERSION,
      description:
        'The JSON behind the page. All texts of samples are untrusted. Beside it, without a token: `/metrics`, `/healthz`, `/readyz`.',
      license: { name: 'MIT' },
    },
    servers: [{ url: '/api' }],
  })
}

/** Routes are described without being asked. */
const UNASKED = new Proxy({} as Api, {
  get: () => () => Promise.reject(new Error('nothing stands behind this API')),
})
