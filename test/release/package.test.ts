/**
 * The package as users get it: what `npm pack` puts into it, and that it runs where it is installed. The install fetches
 * the dependencies as a user's would.
 */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { registry, runNpm as run } from '../support/npm.ts'
import { describeWith } from '../support/requires.ts'

const ROOT = join(import.meta.dirname, '../..')
const MINUTES = 60_000
const emptyFolder = () => mkdtempSync(join(tmpdir(), 'ballast-package-'))
const filesBelow = (folder: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))

describeWith(registry, 'the package', () => {
  const folder = emptyFolder()
  let tarball: string
  let files: string[]

  beforeAll(async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], ROOT)
    // Older npm prints a list, newer an object by name; the build that comes first prints, too.
    const printed = JSON.parse(stdout.slice(stdout.search(/^[[{]$/m))) as object
    const [packed] = Object.values(printed) as { filename: string; files: { path: string }[] }[]
    tarball = join(folder, packed!.filename)
    files = packed!.files.map(({ path }) => path)
  }, 3 * MINUTES)

  test('holds the built source, the catalog, the schemas and the demo, and nothing else', () => {
    const built = filesBelow('src')
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
      .map((file) => file.replace(/^src/, 'dist').slice(0, -'.ts'.length))
    const expected = [
      ...built.flatMap((file) => [`${file}.js`, `${file}.d.ts`]),
      ...filesBelow('page').filter((file) => !file.endsWith('.json')),
      ...filesBelow('policies'),
      ...filesBelow('schema').filter((file) => file.endsWith('.json')),
      ...filesBelow('deploy/demo'),
      ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md'],
    ]
    expect(files.sort()).toEqual(expected.sort())
  })

  test(
    'installed in an empty folder answers --help and runs the demo, on Node 24 and 22',
    async () => {
      await run('npm', ['install', '--no-audit', '--no-fund', tarball], folder)
      const help = await run('npx', ['--no-install', 'ballast', '--help'], folder)
      expect(help.stdout).toContain('ballast serve --config ballast.yaml')
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
      expect((await run('npx', ['--no-install', 'ballast', '--version'], folder)).stdout).toBe(`${version}\n`)
      const demo = await run('npx', ['--no-install', 'ballast', 'demo', '--requests', '60', '--json'], folder)
      expect(JSON.parse(demo.stdout)).toMatchObject({ experiment: 'birds', arms: [{ arm: 'control' }, {}] })

      const library = 'import("ballast").then(({ startBallast }) => console.log(typeof startBallast))'
      expect((await run('node', ['--eval', library], folder)).stdout).toBe('function\n')

      const older = emptyFolder()
      writeFileSync(join(older, 'package.json'), '{"private": true, "allowScripts": {"node": true}}')
      await run('npm', ['install', '--no-audit', '--no-fund', 'node@22'], older)
      const node22 = join(older, 'node_modules/.bin/node')
      expect((await run(node22, ['--version'], older)).stdout).toMatch(/^v22\./)
      const command = join(folder, 'node_modules/ballast/dist/cli/main.js')
      expect((await run(node22, [command, '--help'], folder)).stdout).toBe(help.stdout)
      const on22 = await run(node22, [command, 'demo', '--requests', '60', '--json'], folder)
      expect(JSON.parse(on22.stdout)).toMatchObject({ experiment: 'birds', arms: [{ arm: 'control' }, {}] })
    },
    10 * MINUTES,
  )
})

test('the release workflow pins every action to a commit and keeps no token for npm', () => {
  const text = readFileSync(join(ROOT, '.github/workflows/release.yml'), 'utf8')
  const { jobs } = parse(text) as { jobs: Record<string, { steps: { uses?: string; run?: string }[] }> }
  const steps = Object.values(jobs).flatMap((job) => job.steps)
  const actions = steps.flatMap(({ uses }) => uses ?? [])
  expect(actions.filter((action) => !/^[\w./-]+@[0-9a-f]{40}$/.test(action))).toEqual([])
  expect(actions.length).toBeGreaterThan(0)
  expect(steps.some((step) => step.run === 'npm publish --provenance --access public')).toBe(true)
  expect(text).not.toMatch(/NPM_TOKEN|NODE_AUTH_TOKEN/)
})
