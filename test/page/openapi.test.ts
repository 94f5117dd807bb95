/** The OpenAPI document: it is valid, it is the one that is kept, and what `/api` really answers is what it says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { openApiDocument } from '../../src/http/api/openapi.ts'
import { command, type Stand, startStand } from '../support/control.ts'

const KEPT = join(import.meta.dirname, '../../docs/openapi.json')

interface Operation {
  readonly responses: Readonly<Record<string, unknown>>
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

const document = JSON.parse(JSON.stringify(openApiDocument())) as { readonly paths: Paths }
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
ajv.addSchema(document, 'openapi')

/** What is wrong with an answer, by the schema of its path, method and status; null: nothing. */
function wrong(path: string, method: string, status: number, body: unknown): string | null {
  const pointer = [
    'paths',
    path,
    method,
    'responses',
    String(status),
    'content',
    'application/json',
    'schema',
  ]
    .map((it) => encodeURIComponent(it.replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/')
  const validate = ajv.compile({ $ref: `openapi#/${pointer}` })
  return validate(body) ? null : ajv.errorsText(validate.errors)
}

test('is what `npm run schema` writes', () => {
  expect(JSON.parse(readFileSync(KEPT, 'utf8'))).toEqual(document)
})

test('is valid OpenAPI 3.1, by a validator', async () => {
  const validator = new Validator()
  expect(await validator.validate(JSON.parse(JSON.stringify(document)))).toEqual({ valid: true })
  expect(validator.version).toBe('3.1')
})

test('says of every route what it really answers', async () => {
  const stand = await startStand({ token: true })
  for (const user of ['a', 'b', 'c', 'd', 'e', 'f']) await stand.ask(`Pray, ${user}?`, user)
  const id = await stand.ask('Hello', 'g')
  await stand.ask('Hello', 'g', 'org/solo 50%')
  await stand.ballast.settle()
  const solo = encodeURIComponent('route:org/solo 50%')
  const arm = '/experiments/birds/arms/etymologist'
  const calls: [path: string, method: string, status: number, url: string, init?: RequestInit][] = [
    ['/status', 'get', 200, '/status'],
    ['/config', 'get', 200, '/config'],
    ['/experiments', 'get', 200, '/experiments'],
    ['/experiments/{experiment}', 'get', 200, '/experiments/birds'],
    ['/experiments/{experiment}', 'get', 200, `/experiments/${solo}`],
    ['/experiments/{experiment}', 'get', 404, '/experiments/none'],
    ['/samples', 'get', 200, '/samples?limit=3'],
    ['/samples', 'get', 200, '/samples?verdict=positive&experiment=birds&arm=control'],
    ['/samples', 'get', 400, '/samples?verdict=nice'],
    ['/samples', 'get', 400, '/samples?limit=1000'],
    ['/samples/{id}', 'get', 200, `/samples/${id}`],
    ['/samples/{id}', 'get', 404, '/samples/none'],
    ['/experiments/{experiment}/arms/{arm}', 'post', 200, arm, command('off')],
    ['/experiments/{experiment}/arms/{arm}', 'post', 409, arm, command('off')],
    ['/experiments/{experiment}/arms/{arm}', 'post', 200, arm, command('on')],
    ['/experiments/{experiment}/arms/{arm}', 'post', 400, arm, command('off', { reason: ' ' })],
    ['/experiments/{experiment}/arms/{arm}', 'post', 400, arm, { ...command('off'), body: '{' }],
    ['/experiments/{experiment}/arms/{arm}', 'post', 404, '/experiments/birds/arms/none', command('off')],
    [
      '/experiments/{experiment}/arms/{arm}',
      'post',
      413,
      arm,
      command('off', { reason: 'x'.repeat(20_000) }),
    ],
    [
      '/experiments/{experiment}/arms/{arm}',
      'post',
      415,
      arm,
      { method: 'POST', body: command('off').body! },
    ],
    [
      '/experiments/{experiment}/arms/{arm}',
      'post',
      403,
      arm,
      {
        ...command('off'),
        headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
      },
    ],
    ['/status', 'get', 401, '/status', { headers: { authorization: 'Bearer wrong' } }],
  ]
  for (const [path, method, status, url, init] of calls) {
    const response = await stand.admin(`/api${url}`, init)
    const body: unknown = await response.json()
    expect([url, response.status, body]).toEqual([url, status, body])
    expect([url, wrong(path, method, status, body)]).toEqual([url, null])
  }
  const covered = new Set(calls.map(([path, method]) => `${method} ${path}`))
  const described = Object.entries(document.paths).flatMap(([path, its]) =>
    Object.keys(its).map((method) => `${method} ${path}`),
  )
  expect([...covered].sort()).toEqual(described.sort())
  expect(await (await stand.admin('/api/openapi.json')).json()).toEqual(document)
})

test('would find an answer that is not what it says', () => {
  expect(wrong('/config', 'get', 200, { hash: 1 })).toContain('must be string')
  expect(wrong('/samples', 'get', 200, { samples: [], next: null, more: 1 })).toContain('additional')
})

test('answers are not kept by browsers', async () => {
  const { admin }: Stand = await startStand()
  expect((await admin('/api/samples')).headers.get('cache-control')).toBe('no-store')
})
