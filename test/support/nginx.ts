/** The real nginx, with `deploy/nginx/ballast.conf` as it is but for ports and the place of its log. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { eventually } from './ballast.ts'
import type { Requirement } from './requires.ts'

const FILE = join(import.meta.dirname, '../../deploy/nginx/ballast.conf')
/** Packages put it where PATH need not lead. */
const NGINX = ['nginx', '/usr/sbin/nginx'].find((it) => spawnSync(it, ['-v']).error === undefined)

export const nginx: Requirement = { name: 'nginx', missing: NGINX === undefined }

export interface LogLine {
  readonly status: string
  /** Where the request was sent, one after the other. */
  readonly upstreams: readonly string[]
  readonly requestId: string
  /** What the test calls the request: its `x-test-request`. */
  readonly test: string
}

export interface RunningNginx {
  readonly url: string
  log(): LogLine[]
  errors(): string
}

const LOG_FORMAT = /^\S+ (?<status>\d+) \S+ "(?<upstreams>[^"]*)" "[^"]*" (?<requestId>\S+) (?<test>\S+)$/

/**
 * A folder with what nginx is started with. `onTestFinished` removes it.
 * @param ports of the replicas, three of them.
 */
async function layOut(ports: readonly number[]) {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-nginx-'))
  // Its workers are another user where root starts it.
  chmodSync(folder, 0o755)
  const port = await freePort()
  let text = readFileSync(FILE, 'utf8')
  const replace = (from: string, to: string) => {
    if (!text.includes(from)) throw new Error(`${FILE} no longer has "${from}"`)
    text = text.replaceAll(from, to)
  }
  for (const [index, to] of ports.entries()) replace(`127.0.0.1:${8787 + index} `, `127.0.0.1:${to} `)
  replace('127.0.0.1:8080', `127.0.0.1:${port}`)
  replace('/var/log/nginx/ballast.log', join(folder, 'access.log'))
  replace("$sent_http_x_ballast_request_id'", "$sent_http_x_ballast_request_id $http_x_test_request'")
  writeFileSync(join(folder, 'ballast.conf'), text)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((it) => `${it}_temp_path ${join(folder, it)};`)
    .join(' ')
  const main = `pid ${join(folder, 'pid')};\nerror_log ${join(folder, 'error.log')} warn;\nevents {}\nhttp { ${temporary}\ninclude ${join(folder, 'ballast.conf')};\n}\n`
  writeFileSync(join(folder, 'nginx.conf'), main)
  return {
    folder,
    port,
    args: ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')],
  }
}

/** What `nginx -t` says of the configuration. */
export async function checkNginx(): Promise<{ code: number | null; text: string }> {
  const { folder, args } = await layOut([18_787, 18_788, 18_789])
  try {
    const { status, stderr } = spawnSync(NGINX!, ['-t', ...args], { encoding: 'utf8' })
    return { code: status, text: stderr }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Starts it until the test is over. */
export async function startNginx(ports: readonly number[]): Promise<RunningNginx> {
  const { folder, port, args } = await layOut(ports)
  const child: ChildProcess = spawn(NGINX!, [...args, '-g', 'daemon off;'], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve))
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true })
  })
  const errors = () => readFileSync(join(folder, 'error.log'), 'utf8')
  const url = `http://127.0.0.1:${port}`
  await eventually(() =>
    fetch(url).then(
      ({ status }) => status === 404,
      () => false,
    ),
  )
  return {
    url: `${url}/v1`,
    errors,
    log: () =>
      readFileSync(join(folder, 'access.log'), 'utf8')
        .split('\n')
        .flatMap((line) => {
          const groups = LOG_FORMAT.exec(line)?.groups
          if (groups === undefined) return []
          const { status, upstreams, requestId, test } = groups as Record<string, string>
          return [{ status: status!, upstreams: upstreams!.split(', '), requestId: requestId!, test: test! }]
        }),
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
