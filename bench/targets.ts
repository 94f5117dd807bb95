/** What is measured side by side: how each is started and asked. Used by `run.ts`. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { ballastYaml, CLIENT_KEY, PLAIN, PRODUCTION, type Settings } from './ballast-config.ts'
import type { Asked, LoadDeps } from './load.ts'
import { installPortkey, PORTKEY_VERSION } from './portkey.ts'

export interface TargetDeps extends LoadDeps {
  readonly upstreamPort: number
  /** Where ballast leaves its CPU profiles; null: none are made. */
  readonly profiles: string | null
  readonly say: (line: string) => void
}

export interface RunningTarget extends Asked {
  readonly stop: () => Promise<void>
}

export interface Target {
  readonly name: string
  /** With its version; null where it cannot be run here, and why is said. */
  readonly version: () => string | null
  readonly missing: string
  start(deps: TargetDeps): Promise<RunningTarget>
}

const ROOT = join(import.meta.dirname, '..')
const AUTHORIZATION = `authorization: Bearer ${CLIENT_KEY}`

export const direct: Target = {
  name: 'direct',
  version: () => 'no proxy',
  missing: '',
  start: async ({ upstreamPort }) => ({
    port: upstreamPort,
    headers: [AUTHORIZATION],
    pid: null,
    stop: async () => {},
  }),
}

export const nginx: Target = {
  name: 'nginx',
  version: () =>
    /nginx\/(\S+)/.exec(spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr ?? '')?.[1] ?? null,
  missing: 'nginx is not on PATH (Debian: apt-get install nginx-light)',
  async start({ processes, cores, upstreamPort }) {
    const folder = processes.folder()
    const port = await freePort()
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, nginxConf(folder, port, upstreamPort))
    const command = ['nginx', '-p', folder, '-c', file, '-e', 'stderr']
    const started = await processes.serve('nginx', command, cores.proxy, () => whenListening(port))
    return {
      port,
      headers: [AUTHORIZATION],
      pid: started.pid,
      stop: async () => {
        await started.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

/** A pass-through as cheap as nginx can be: nothing logged, nothing buffered, connections kept both ways. */
function nginxConf(folder: string, port: number, upstreamPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    mkdirSync(join(folder, name))
    return `  ${name}_temp_path ${join(folder, name)};`
  })
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
error_log stderr error;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
${temporary.join('\n')}
  upstream mock {
    server 127.0.0.1:${upstreamPort};
    keepalive 4096;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
`
}

export const portkey: Target = {
  name: 'Portkey',
  version: () => PORTKEY_VERSION,
  missing: '',
  async start({ processes, cores, upstreamPort, say }) {
    const program = await installPortkey(processes, say)
    const port = await freePort()
    const command = [process.execPath, program, `--port=${port}`, '--headless']
    const started = await processes.serve('Portkey', command, cores.proxy, () => whenListening(port), {
      NODE_ENV: 'production',
    })
    const headers = [
      AUTHORIZATION,
      'x-portkey-provider: openai',
      `x-portkey-custom-host: http://127.0.0.1:${upstreamPort}/v1`,
      'x-portkey-forward-headers: x-bench',
    ]
    return { port, headers, pid: started.pid, stop: started.stop }
  },
}

/** What `npm start` gives Node before the program: `node … src/cli/main.ts serve`. */
function startFlags(): string[] {
  const { scripts } = readPackage()
  const [, ...words] = scripts.start.split(' ')
  return words.slice(0, words.indexOf('src/cli/main.ts'))
}

function readPackage(): { readonly version: string; readonly scripts: { readonly start: string } } {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
}

/** ballast as `npm start` runs it: the source, by Node. */
/** @param workers processes that serve, on all cores; left out: one, on the proxy's core. */
export function ballast(name: string, settings: Settings, workers?: number): Target {
  return {
    name,
    version: () => readPackage().version,
    missing: '',
    async start({ processes, cores, upstreamPort, profiles }) {
      const folder = processes.folder()
      const file = join(folder, 'ballast.yaml')
      writeFileSync(file, ballastYaml(settings, upstreamPort, folder))
      const profile =
        profiles === null
          ? []
          : [
              '--cpu-prof',
              '--cpu-prof-interval=500',
              `--cpu-prof-dir=${join(profiles, name.replaceAll(/\W+/g, '-'))}`,
            ]
      const program = join(ROOT, 'src/cli/main.ts')
      const serve = ['serve', '--config', file, ...(workers === undefined ? [] : ['--workers', `${workers}`])]
      const command = [process.execPath, ...startFlags(), ...profile, program, ...serve]
      const all = cores.proxy === null ? null : `${cores.proxy},${cores.load}`
      const started = await processes.serve(name, command, workers === undefined ? cores.proxy : all, urlOf)
      return {
        port: Number(new URL(started.ready).port),
        headers: [AUTHORIZATION],
        pid: started.pid,
        stop: async () => {
          await started.stop()
          rmSync(folder, { recursive: true, force: true })
        },
      }
    },
  }
}

export const ballastPlain = ballast('ballast, plain', PLAIN)
export const ballastProduction = ballast('ballast', PRODUCTION)

/** The address in ballast's first line of log. */
function urlOf(output: string): string | null {
  return /"url":"([^"]+)"/.exec(output)?.[1] ?? null
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

function whenListening(port: number): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(null))
  })
}
