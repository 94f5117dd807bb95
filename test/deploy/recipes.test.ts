/**
 * Every configuration below `deploy/` passes `ballast check --strict`; and each recipe is served, with a stand-in where its
 * provider would be: the path, the key and the arms are those it means. The providers themselves are not asked.
 */
import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { ballast } from '../support/command.ts'
import { completion, json } from '../support/upstream.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const files = globSync('**/*.yaml', { cwd: DEPLOY }).filter((file) => {
  const text = readFileSync(join(DEPLOY, file), 'utf8')
  return /^upstreams:/m.test(text)
})

/** For `${NAME}` in a configuration: text that no other name has. */
const VALUES: Record<string, string> = {
  BALLAST_LISTEN: '127.0.0.1:8787',
  BALLAST_ADMIN_LISTEN: '127.0.0.1:9464',
  BALLAST_SANDBOX_URL: 'http://127.0.0.1:8790/v1',
  BALLAST_DEMO_PORT: '8787',
  BALLAST_DEMO_ADMIN_PORT: '9464',
  DATABASE_URL: 'postgres://ballast:secret@db.example/ballast?sslmode=verify-full',
}
const environmentOf = (text: string) =>
  Object.fromEntries(
    [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => [
      name!,
      VALUES[name!] ?? `value-of-${name!.toLowerCase()}`,
    ]),
  )

test.each(files.map((file) => [file]))('deploy/%s passes the check, without a warning', async (file) => {
  const environment = environmentOf(readFileSync(join(DEPLOY, file), 'utf8'))
  const { finished } = ballast(['check', '--strict', '--config', join(DEPLOY, file)], environment)
  const { code, stdout, stderr } = await finished
  expect([code, stderr]).toEqual([0, expect.stringContaining('0 problems, 0 warnings')])
  expect(stdout).toContain('birds')
})

interface Recipe {
  /** A model of its experiment. */
  readonly model: string
  /** Where its provider is asked. */
  readonly path: string
  readonly authorization?: string
}

/** What each recipe means its provider to be asked. */
const RECIPES: Record<string, Recipe> = {
  openai: {
    model: 'ft:gpt-4.1-2025-04-14:org:birds:abc',
    path: '/v1/chat/completions',
    authorization: 'Bearer value-of-openai_api_key',
  },
  vllm: { model: 'birds-lora', path: '/v1/chat/completions', authorization: 'Bearer value-of-vllm_api_key' },
  together: {
    model: 'ACCOUNT/Qwen3-8B-birds-1',
    path: '/v1/chat/completions',
    authorization: 'Bearer value-of-together_api_key',
  },
  azure: {
    model: 'birds-deployment',
    path: '/openai/v1/chat/completions',
    authorization: 'Bearer value-of-azure_openai_api_key',
  },
  ollama: { model: 'birds:latest', path: '/v1/chat/completions' },
  replicas: {
    model: 'ft:gpt-4.1:org:birds:abc',
    path: '/v1/chat/completions',
    authorization: 'Bearer value-of-openai_api_key',
  },
  sidecar: {
    model: 'ft:gpt-4.1:org:birds:abc',
    path: '/v1/chat/completions',
    authorization: "Bearer the-application's-own",
  },
}

describe('recipes', () => {
  test('are all known here', () => {
    const names = files.filter((file) => file.startsWith('recipes/')).map((file) => relative('recipes', file))
    expect(names.sort()).toEqual(
      Object.keys(RECIPES)
        .map((name) => `${name}.yaml`)
        .sort(),
    )
  })

  test.each(Object.entries(RECIPES))(
    '%s asks its provider as meant, and compares its arms',
    async (name, recipe) => {
      const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('LLM')))
      const text = readFileSync(join(DEPLOY, 'recipes', `${name}.yaml`), 'utf8')
      const { clients } = parse(text) as { clients?: object[] }
      const served = text
        .replaceAll(/https?:\/\/[^/"\s]+(?=\/[^\s"]*v1)/g, new URL(upstream.url).origin)
        .replace(/^store: .*$/m, 'store: memory')
        .replace(/^(listen|admin): .*$/gm, '')
      const ballast = await startTestBallast(served, environmentOf(text))
      const key = clients === undefined ? "the-application's-own" : 'value-of-web_key'
      for (let user = 0; user < 12; user++) {
        const body = JSON.stringify({
          model: recipe.model,
          user: `u${user}`,
          messages: [{ role: 'user', content: 'Hi' }],
        })
        const headers = { authorization: `Bearer ${key}` }
        const response = await fetch(`${ballast.url}/chat/completions`, { method: 'POST', headers, body })
        expect(response.status).toBe(200)
      }
      const asked = upstream.requests.filter(({ body }) => body.includes(recipe.model))
      expect(asked).toHaveLength(12)
      for (const { url, headers } of asked) {
        expect([url, headers.authorization]).toEqual([recipe.path, recipe.authorization])
      }
      const treated = asked.filter(({ body }) => body.includes('Audubon')).length
      expect(treated).toBeGreaterThan(0)
      expect(treated).toBeLessThan(12)
    },
  )
})
