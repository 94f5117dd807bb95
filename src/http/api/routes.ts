/**
 * `/api` on Hono, each route with the schema of its answer, of which the OpenAPI document is made. Mounted by `admin.ts`,
 * behind its authentication.
 */
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { requireSameOrigin } from '../origin.ts'
import type { Api } from './api.ts'
import { ArmAction, Experiment } from './schema/experiment.ts'
import { Report } from './schema/report.ts'
import { Sample, SampleQuery, Samples } from './schema/sample.ts'
import { Problem, RunningConfig, Status } from './schema/status.ts'

const LARGEST_BODY = 16 * 1024

const json = <S extends z.ZodType>(description: string, schema: S) => ({
  description,
  content: { 'application/json': { schema } },
})
const problem = (description: string) => json(description, Problem)
const SECURITY = [{ bearer: [] }, { basic: [] }]
/** What every route may answer. */
const ALWAYS = {
  401: problem('The token is missing or wrong.'),
  403: problem(
    'Without a token, the request is not addressed to localhost, or comes from a foreign web page.',
  ),
  500: problem('It failed, or the back office does not answer; the log says why.'),
}

const ExperimentName = z.string().openapi({
  param: { name: 'experiment', in: 'path' },
  example: 'birds',
  description: 'URL-encoded; of a route without an experiment, `route:` and its model.',
})
const ArmName = z.string().openapi({ param: { name: 'arm', in: 'path' }, example: 'etymologist' })

const status = createRoute({
  method: 'get',
  path: '/status',
  summary: 'How ballast, its judge and its upstreams are doing',
  security: SECURITY,
  responses: { 200: json('As this process sees it.', Status), ...ALWAYS },
})
const config = createRoute({
  method: 'get',
  path: '/config',
  summary: 'The running configuration, without secrets, and what reloads changed',
  security: SECURITY,
  responses: { 200: json('The running configuration.', RunningConfig), ...ALWAYS },
})
const experiments = createRoute({
  method: 'get',
  path: '/experiments',
  summary: 'The reports of all experiments that have a check',
  security: SECURITY,
  responses: { 200: json('A moment old at most.', z.array(Report).readonly()), ...ALWAYS },
})
const experiment = createRoute({
  method: 'get',
  path: '/experiments/{experiment}',
  summary: 'An experiment: its report, its course, its arms and what was done to them',
  security: SECURITY,
  request: { params: z.object({ experiment: ExperimentName }) },
  responses: {
    200: json('The experiment.', Experiment),
    404: problem('There is no such experiment.'),
    ...ALWAYS,
  },
})
const actOnArm = createRoute({
  method: 'post',
  path: '/experiments/{experiment}/arms/{arm}',
  summary: 'Switch an arm off or on again, or promote it',
  description:
    'It is stored, and every ballast on the same store does it within about a second. A browser may only send it from the page itself.',
  security: SECURITY,
  request: {
    params: z.object({ experiment: ExperimentName, arm: ArmName }),
    body: { required: true, content: { 'application/json': { schema: ArmAction } } },
  },
  responses: {
    200: json('It is in force in the process that answers.', Experiment.shape.history.unwrap().element),
    400: problem('The body is not what it should be.'),
    404: problem('There is no such arm.'),
    409: problem('It cannot be done: it is so already, or the configuration says otherwise.'),
    413: problem('The body is too large.'),
    415: problem('The body is not sent as application/json.'),
    ...ALWAYS,
  },
})
const samples = createRoute({
  method: 'get',
  path: '/samples',
  summary: 'Samples, newest first, their texts cut to a length for a list',
  description: 'Texts are there as `samples.keep` says.',
  security: SECURITY,
  request: { query: SampleQuery },
  responses: {
    200: json('The samples.', Samples),
    400: problem('The query is not what it should be.'),
    ...ALWAYS,
  },
})
const sample = createRoute({
  method: 'get',
  path: '/samples/{id}',
  summary: 'A sample with its whole texts',
  security: SECURITY,
  request: { params: z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) }) },
  responses: { 200: json('The sample.', Sample), 404: problem('There is no such sample.'), ...ALWAYS },
})

/** @returns the routes below `/api`. */
export function createApi(api: Api): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result, c) => {
      if (result.success) return
      const told = result.error.issues.map(({ path, message }) =>
        [path.join('.'), message].filter(Boolean).join(' '),
      )
      return c.json({ error: { message: `${told.join('; ')}.` } }, 400)
    },
  })
  app.use(async (c, next) => {
    await next()
    // What a browser keeps outlives the token.
    c.header('cache-control', 'no-store')
  })
  app.use('/experiments/:experiment/arms/:arm', async (c, next) => {
    if (c.req.method !== 'POST') return await next()
    requireSameOrigin(c.req.header('host'), c.req.header('origin'), c.req.header('sec-fetch-site'))
    // A form of a foreign page can send neither this type nor, unasked, any other that is not simple.
    if (!/^application\/json\b/.test(c.req.header('content-type') ?? ''))
      return c.json({ error: { message: 'Send the body with content-type: application/json.' } }, 415)
    await next()
  })
  app.use(
    bodyLimit({
      maxSize: LARGEST_BODY,
      onError: (c) => c.json({ error: { message: `The body has more than ${LARGEST_BODY} bytes.` } }, 413),
    }),
  )
  app.openapi(status, async (c) => c.json(await api.status(), 200))
  app.openapi(config, (c) => c.json(api.config(), 200))
  app.openapi(experiments, async (c) => c.json(await api.reports(), 200))
  app.openapi(experiment, async (c) => {
    const name = c.req.valid('param').experiment
    const found = await api.experiment(name)
    if (found !== null) return c.json(found, 200)
    return c.json({ error: { message: `There is no experiment "${name}".` } }, 404)
  })
  app.openapi(actOnArm, async (c) => {
    const done = await api.actOnArm({ ...c.req.valid('param'), ...c.req.valid('json') })
    if (done.outcome === 'done') return c.json(done.event, 200)
    return c.json({ error: { message: done.message } }, done.outcome === 'unknown' ? 404 : 409)
  })
  app.openapi(samples, async (c) => c.json(await api.samples(c.req.valid('query')), 200))
  app.openapi(sample, async (c) => {
    const { id } = c.req.valid('param')
    const found = await api.sample(id)
    return found !== null
      ? c.json(found, 200)
      : c.json({ error: { message: `There is no sample "${id}".` } }, 404)
  })
  return app
}
