/** Holds Kubernetes objects to the schemas of the API, and to the keys it knows: what it does not know it drops silently. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Requirement } from './requires.ts'

const ROOT = join(import.meta.dirname, '../..')

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly spec: Record<string, unknown>
}

export const kubectl: Requirement = {
  name: 'kubectl',
  missing: spawnSync('kubectl', ['version', '--client']).error !== undefined,
}

/** @returns what the schemas say against them, an entry an object; empty when nothing. */
export async function violations(objects: readonly KubernetesObject[]): Promise<string[]> {
  const found: string[] = []
  for (const object of objects) {
    const models = (await import(moduleOf(object))) as Record<
      string,
      new (
        data: unknown,
      ) => { validate(): void }
    >
    try {
      new models[object.kind]!(object).validate()
    } catch (error) {
      found.push(`${nameOf(object)}: ${String(error)}`)
    }
  }
  return [...found, ...unknownKeys(objects)]
}

/** By the compiler: an object literal may have no key that its type has not. */
function unknownKeys(objects: readonly KubernetesObject[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-kubernetes-'))
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
    const lines = objects.map(
      (object, index) =>
        `import type { I${object.kind} as T${index} } from '${moduleOf(object)}'; export const o${index}: T${index} = ${JSON.stringify(object)}`,
    )
    writeFileSync(join(folder, 'objects.ts'), lines.join('\n'))
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--types',
      '',
      'objects.ts',
    ]
    const { status, stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), options, {
      cwd: folder,
      encoding: 'utf8',
    })
    if (status === 0) return []
    return stdout.split('\n').flatMap((line) => {
      const [, at, message] = /^objects\.ts\((\d+),\d+\): error (.+)$/.exec(line) ?? []
      return at === undefined ? [] : [`${nameOf(objects[Number(at) - 1]!)}: ${message}`]
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** @param folder of a `kustomization.yaml`, below `deploy/kubernetes`. */
export function kustomize(folder: string): string {
  return execFileSync('kubectl', ['kustomize', join(ROOT, 'deploy/kubernetes', folder)], { encoding: 'utf8' })
}

export function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`
}

function moduleOf({ apiVersion }: KubernetesObject): string {
  const models = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models'
  return `${models}/${apiVersion}`
}
