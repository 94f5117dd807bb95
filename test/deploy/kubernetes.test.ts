/** `deploy/kubernetes`: the manifests keep to Kubernetes' schemas, and what belongs together in them does. No cluster runs them here. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { type Config, parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER, LAST_STORING_MS } from '../../src/node.ts'
import { startTestBallast } from '../support/ballast.ts'
import { type KubernetesObject, kubectl, kustomize, nameOf, violations } from '../support/kubernetes.ts'
import { describeWith } from '../support/requires.ts'

const FOLDER = join(import.meta.dirname, '../../deploy/kubernetes')
const OVERLAY = 'overlays/example'
const read = (file: string) => readFileSync(join(FOLDER, file), 'utf8')
const objectsIn = (text: string) =>
  parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject)

interface Container {
  readonly name: string
  readonly args?: string[]
  readonly ports?: { name: string; containerPort: number }[]
  readonly env: { name: string; value?: string; valueFrom?: object }[]
  readonly startupProbe?: object
  readonly readinessProbe?: object
  readonly livenessProbe?: object
  readonly lifecycle?: { preStop: { sleep: { seconds: number } } }
  readonly resources: { requests: Record<string, string>; limits: Record<string, string> }
  readonly securityContext: Record<string, unknown>
}
interface PodSpec {
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: Record<string, unknown>
  readonly containers: Container[]
  readonly initContainers?: Container[]
}

const { resources } = parse(read('base/kustomization.yaml')) as { resources: string[] }
const base = resources.flatMap((file) => objectsIn(read(`base/${file}`)))
const sidecar = objectsIn(read('sidecar.yaml'))
const find = (kind: string, name = 'ballast') =>
  base.find((it) => it.kind === kind && it.metadata.name === name)!
const podOf = (object: KubernetesObject) => (object.spec.template as { spec: PodSpec }).spec
const pods = [...base, ...sidecar].filter(({ kind }) => kind === 'Deployment')
const containersOf = (pod: PodSpec) => [...(pod.initContainers ?? []), ...pod.containers]

/** The configuration as the pods read it: with what their Secret names, and nothing else. */
function configOf(file: string, pod: PodSpec): Config {
  const environment = Object.fromEntries(
    containersOf(pod)[0]!.env.map(({ name }) => [name, `secret-of-${name.toLowerCase()}`]),
  )
  const url = { DATABASE_URL: 'postgres://ballast:secret@db.example/ballast' }
  return parseConfig(read(file), join(FOLDER, file), {
    environment: { ...environment, ...url },
    catalog: CATALOG_FOLDER,
  })
}

test('every manifest keeps to its schema, and has no key that Kubernetes would drop', async () => {
  const listed = readdirSync(join(FOLDER, 'base')).filter(
    (file) => !/^(kustomization|ballast)\.yaml$/.test(file),
  )
  expect([...resources].sort()).toEqual(listed.sort())
  expect(await violations([...base, ...sidecar])).toEqual([])

  const deployment = find('Deployment')
  const broken = structuredClone(deployment) as { spec: { replicas?: unknown; replica?: unknown } }
  broken.spec.replica = 2
  expect(await violations([broken as unknown as KubernetesObject])).toEqual([
    expect.stringContaining('"replica"'),
  ])
  broken.spec = { ...deployment.spec, replicas: 'two' }
  expect((await violations([broken as unknown as KubernetesObject])).join()).toContain('Deployment ballast')
})

describeWith(kubectl, 'as kustomize renders it', () => {
  test('the base and its overlay keep to the schemas', async () => {
    for (const folder of ['base', OVERLAY]) {
      const objects = objectsIn(kustomize(folder))
      expect(objects.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(base.map(({ kind }) => kind).concat('ConfigMap')),
      )
      expect(await violations(objects)).toEqual([])
    }
  })

  test('the overlay puts its image, configuration and sizes in, and names nothing anew', () => {
    const objects = objectsIn(kustomize(OVERLAY))
    const text = JSON.stringify(objects)
    expect(text).not.toContain('ballast:local')
    expect(objects.filter(({ metadata }) => metadata.namespace !== 'llm')).toEqual([])
    const config = objects.find(({ kind }) => kind === 'ConfigMap') as unknown as {
      metadata: { name: string }
      data: Record<string, string>
    }
    expect(config.metadata.name).toBe('ballast')
    expect(config.data['ballast.yaml']).toBe(read(`${OVERLAY}/ballast.yaml`))
    expect(objects.find(({ kind }) => kind === 'HorizontalPodAutoscaler')!.spec.minReplicas).toBe(3)
    expect(objects.find(({ metadata }) => metadata.name === 'ballast-judge')!.spec.replicas).toBe(2)
  })

  test("the policy's selector for DNS stays that of another namespace's pods", () => {
    const policy = objectsIn(kustomize('base')).find(({ kind }) => kind === 'NetworkPolicy')!
    const [dns] = policy.spec.egress as { to: { podSelector: { matchLabels: object } }[] }[]
    expect(dns!.to[0]!.podSelector.matchLabels).toEqual({ 'k8s-app': 'kube-dns' })
  })
})

describe('pods', () => {
  test.each(pods.map((object) => [nameOf(object), podOf(object)] as const))(
    '%s keeps to the restricted standard, with bounds, probes and secrets by reference',
    (_name, pod) => {
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      for (const container of containersOf(pod)) {
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        expect(Object.keys(container.resources.requests).sort()).toEqual(['cpu', 'memory'])
        expect(container.resources.limits.memory).toBeDefined()
        for (const { name, value, valueFrom } of container.env) {
          if (/KEY|TOKEN|DATABASE/.test(name))
            expect([name, value, valueFrom !== undefined]).toEqual([name, undefined, true])
        }
        if (container.name !== 'ballast') continue
        expect(container.startupProbe).toBeDefined()
        expect(container.livenessProbe).toBeDefined()
      }
    },
  )

  test('of the proxy are given the time that draining and the last storing take', () => {
    const pod = podOf(find('Deployment'))
    const config = configOf('base/ballast.yaml', pod)
    const wait = pod.containers[0]!.lifecycle!.preStop.sleep.seconds
    const least = wait + (config.limits.drain + LAST_STORING_MS) / 1_000
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(least)
  })

  test('read a configuration that their Secret completes, and listen where their ports are', () => {
    for (const file of ['base/ballast.yaml', `${OVERLAY}/ballast.yaml`]) {
      const pod = podOf(find('Deployment'))
      const config = configOf(file, pod)
      expect(pod.containers[0]!.ports).toEqual([
        { name: 'http', containerPort: config.listen.port },
        { name: 'metrics', containerPort: config.admin.listen.port },
      ])
      expect(config.store).toMatch(/^postgres:/)
      configOf(file, podOf(find('Deployment', 'ballast-judge')))
    }
    const judge = podOf(find('Deployment', 'ballast-judge')).containers[0]!
    expect(judge.args!.at(-1)).toBe(`:${judge.ports![0]!.containerPort}`)
  })
})

test('the autoscaler asks for a metric that ballast exports', async () => {
  const { metrics } = find('HorizontalPodAutoscaler').spec as {
    metrics: { pods?: { metric: { name: string } } }[]
  }
  const [name] = metrics.flatMap(({ pods }) => pods?.metric.name ?? [])
  const ballast = await startTestBallast(
    'store: memory\nupstreams: {p: {base_url: "http://127.0.0.1:9/v1"}}\nroutes: [{model: "*", upstream: p}]\n',
  )
  expect(await ballast.metrics()).toContain(`\n${name} 0\n`)
})
