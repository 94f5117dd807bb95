/**
 * The image, as far as it goes without an engine: its file is linted and followed into a folder, which is then read-only
 * and run by another user. What only an engine does (the base image, its file system, its networks) is not tried here.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { validate } from 'dockerfile-utils'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { layOut, type Stage } from '../support/dockerfile.ts'
import { registry } from '../support/npm.ts'
import { describeWith } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const DOCKERFILE = read('deploy/Dockerfile')
/** Another user than root, which could write everywhere. */
const NOBODY = 65_534
const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
const KEY = 'key-of-the-web-client'

const yaml = (provider: string, store: string) => `
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
store: "sqlite:${store}"
clients: [{name: web, key: ${KEY}}]
upstreams: {p: {base_url: "${provider}"}}
routes: [{model: "*", upstream: p, policy: birds/identity-etymologist, check: nineteenth-century, sample: 1}]
judge: {upstream: p, model: judge-1}
`

describe('deploy/Dockerfile', () => {
  test('has nothing that the linter minds', () => {
    expect(validate(DOCKERFILE).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual(
      [],
    )
    expect(validate(DOCKERFILE.replace('WORKDIR /ballast', 'WORKDIR ballast')).length).toBeGreaterThan(0)
  })

  test('is from the Node that the tests run under, by its whole version, and ends as another user than root', () => {
    const { version } = JSON.parse(read('node_modules/node/package.json')) as { version: string }
    const images = [...DOCKERFILE.matchAll(/^FROM (\S+)/gm)].map((match) => match[1])
    expect(new Set(images)).toEqual(new Set([`node:${version}-trixie-slim`]))
    expect(DOCKERFILE.slice(DOCKERFILE.lastIndexOf('FROM '))).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
  })

  test('is given by .dockerignore what it copies', () => {
    const lines = read('.dockerignore').split('\n')
    const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
      match[1]!.split(' '),
    )
    expect(copied.length).toBeGreaterThan(5)
    expect(copied.filter((source) => !lines.includes(`!${source.replace('./', '')}`))).toEqual([])
    expect(lines[1]).toBe('*')
  })
})

describeWith(registry, "the image's layout", () => {
  let folder: string
  let stage: Stage
  let etc: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ballast-image-'))
    chmodSync(folder, 0o755)
    stage = await layOut(DOCKERFILE, folder)
    mkdirSync(join(stage.root, 'usr/local/bin'), { recursive: true })
    copyFileSync(join(ROOT, 'node_modules/node/bin/node'), join(stage.root, 'usr/local/bin/node'))
    etc = join(stage.root, 'etc/ballast')
    mkdirSync(etc, { recursive: true })
    forEachBelow(stage.root, (path, isFolder) =>
      chmodSync(path, isFolder || path.endsWith('bin/node') ? 0o555 : 0o444),
    )
    // Where a volume is mounted.
    chmodSync(etc, 0o755)
  }, 300_000)
  afterAll(() => {
    forEachBelow(folder, (path, isFolder) => isFolder && chmodSync(path, 0o755))
    rmSync(folder, { recursive: true })
  })

  /** A path of the image in the folder that stands for it. */
  const inside = (argument: string) => (argument.startsWith('/') ? join(stage.root, argument) : argument)
  const environment = (more: Record<string, string> = {}) => ({
    PATH: join(stage.root, 'usr/local/bin'),
    ...stage.environment,
    ...more,
  })
  const runAs = (args: readonly string[], more: Record<string, string> = {}) =>
    promisify(execFile)(args[0]!, args.slice(1).map(inside), {
      cwd: inside(stage.workdir),
      env: environment(more),
      ...asNobody,
    })
  const start = (args: readonly string[], more: Record<string, string> = {}) => {
    const [command, ...rest] = args
    const child = spawn(command!, rest.map(inside), {
      cwd: inside(stage.workdir),
      env: environment(more),
      ...asNobody,
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        said += text
      })
    return { child, said: () => said, code: ended(child) }
  }

  test('cannot be written to by its user', async () => {
    const write = "fs.writeFileSync('/ballast/x'.replace(/^/, process.env.ROOT), '')"
    await expect(runAs(['node', '--eval', write], { ROOT: stage.root })).rejects.toThrow(/EACCES|EROFS/)
  })

  test('serves by its entry point, is found healthy by its check, and ends with 0 on SIGTERM', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('LLM')))
    const data = mkdtempSync(join(tmpdir(), 'ballast-data-'))
    if (asNobody.uid !== undefined) chownSync(data, NOBODY, NOBODY)
    writeFileSync(join(etc, 'ballast.yaml'), yaml(upstream.url, join(data, 'ballast.db')))
    const { child, said, code } = start([...stage.entrypoint, ...stage.command])
    await eventually(() => /"msg":"ballast serves"/.test(said()))
    const { url, admin } = JSON.parse(/^\{.*ballast serves.*$/m.exec(said())![0]) as {
      url: string
      admin: string
    }

    const body = '{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}'
    const headers = { authorization: `Bearer ${KEY}` }
    const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers, body })
    expect(response.status).toBe(200)
    expect(upstream.requests[0]!.body.toString()).toContain('Audubon')

    await runAs(stage.health, { BALLAST_HEALTH_URL: `${admin}/healthz` })
    await expect(
      runAs(stage.health, { BALLAST_HEALTH_URL: `${upstream.url.replace('/v1', '')}:1/healthz` }),
    ).rejects.toMatchObject({ code: 1 })

    for (const path of ['/', '/page/main.js', '/page/plot.js', '/page/d3.js'])
      expect([path, (await fetch(admin + path)).status]).toEqual([path, 200])

    // The requests of deploy/compose.yaml.
    copyFileSync(join(ROOT, 'deploy/compose/traffic.mjs'), join(etc, 'traffic.mjs'))
    const before = upstream.requests.length
    const traffic = start(['node', '/etc/ballast/traffic.mjs'], {
      BALLAST_URL: url,
      BALLAST_CLIENT_KEY: KEY,
      REQUESTS_PER_SECOND: '50',
    })
    await eventually(
      () => upstream.requests.slice(before).filter((it) => it.body.includes('sandbox-birds')).length > 4,
    )
    traffic.child.kill('SIGTERM')
    expect(await traffic.code).toBe(0)
    expect(traffic.said()).toBe('')

    child.kill('SIGTERM')
    expect(await code).toBe(0)
    expect(readdirSync(data)).toContain('ballast.db')
  })

  test('has the other commands: the sandbox on every address, the demo, the catalog', async () => {
    const { said } = start([...stage.entrypoint, 'sandbox', '--host', '0.0.0.0', '--port', '0'])
    await eventually(() => /http:\/\/0\.0\.0\.0:\d+\/v1/.test(said()))
    const port = /0\.0\.0\.0:(\d+)/.exec(said())![1]
    await runAs(stage.health, { BALLAST_HEALTH_URL: `http://127.0.0.1:${port}/healthz` })
    const demo = await runAs([...stage.entrypoint, 'demo', '--requests', '20', '--json'])
    expect(JSON.parse(demo.stdout)).toMatchObject({ experiment: 'birds' })
    const { stdout } = await runAs([...stage.entrypoint, 'policies', '--family', 'birds'])
    expect(stdout).toContain('birds/identity-etymologist')
  })
})

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', resolve))
}

/** Folders after what is in them. */
function forEachBelow(path: string, visit: (path: string, isFolder: boolean) => void): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) forEachBelow(child, visit)
    else if (entry.isFile()) visit(child, false)
  }
  visit(path, true)
}
