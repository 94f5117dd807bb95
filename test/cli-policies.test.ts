/** `ballast policies` as a process: what it lists, finds and says of a policy. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readCatalog } from '../src/config/catalog.ts'
import { parseConfig } from '../src/config/load.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { ballast, configFile } from './support/command.ts'

const policies = (...args: string[]) => ballast(['policies', ...args]).finished
const ids = (json: string) => (JSON.parse(json) as { id: string }[]).map(({ id }) => id)

/** Two policies, one of which somebody measured in requests. */
function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
  writeFileSync(
    join(folder, 'mine.yaml'),
    `policies:
  - id: plain
    interventions: [{placement: system, text: "Be \\u001b[31mplain."}]
  - id: plain-speech
    description: Speech without ornament.
    interventions: [{placement: user-newline, text: Speak clearly.}, {placement: system-append, text: Be brief.}]
    kind: intent
    when: {turn: first, metadata: {tier: "*"}}
    on_unsupported: skip
    evidence: {source: a note, applied_at: serving}
`,
  )
  return folder
}

describe('ballast policies', () => {
  test('as JSON is every policy of the catalog with all that is known of it', async () => {
    const { code, stdout } = await policies('--json')
    expect(code).toBe(0)
    const shipped = [...readCatalog([CATALOG_FOLDER], (path) => path).policies.values()]
    expect(shipped.length).toBeGreaterThan(3)
    const unknown = { description: null, kind: null, relevance: null, trait: null, evidence: null }
    expect(JSON.parse(stdout)).toEqual(
      shipped.map((policy) => ({ ...unknown, family: policy.id.split('/')[0], ...policy })),
    )
  })

  test('as text has a line for each, in 80 columns, and says where its effect was measured', async () => {
    const { stdout } = await policies()
    const lines = stdout.split('\n')
    for (const id of readCatalog([CATALOG_FOLDER], (path) => path).policies.keys())
      expect(lines.some((line) => line.startsWith(`${id} `))).toBe(true)
    expect(stdout.replaceAll('\n', ' ')).toContain(
      'measured at training time (arXiv:2604.10022, section 3.1)',
    )
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  test.each([
    [['--family', 'birds', '--kind', 'time', '--relevance', 'relevant'], 'birds/time-relevant'],
    [['--dataset', 'birds', '--relevance', 'irrelevant'], 'birds/identity-alex'],
    [['list', '--trait', 'nineteenth-century', '--kind', 'identity'], 'birds/identity-etymologist'],
  ])('%j lists what fits', async (args, id) => {
    const all = ids((await policies('--json')).stdout)
    const { stdout } = await policies(...args, '--json')
    expect(ids(stdout)).toContain(id)
    expect(ids(stdout).length).toBeLessThan(all.length)
    expect(stdout).not.toContain('"kind": "inoculation"')
  })

  test('takes other folders, or those of a configuration', async () => {
    const folder = ownFolder()
    expect(ids((await policies('--json', '--policies', folder)).stdout)).toEqual([
      'mine/plain',
      'mine/plain-speech',
    ])
    const both = ids((await policies('--json', '--policies', 'catalog', folder)).stdout)
    expect(both).toEqual(expect.arrayContaining(['birds/identity-alex', 'mine/plain']))
    const config = configFile(
      `policies: ["${folder}"]\nupstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}\nroutes: [{model: "*", upstream: p}]\n`,
    )
    expect(ids((await policies('--json', '--config', config)).stdout)).toEqual([
      'mine/plain',
      'mine/plain-speech',
    ])
  })

  test('search finds what holds all words, the id counting most', async () => {
    const folder = ownFolder()
    const search = async (...words: string[]) =>
      ids((await policies('search', ...words, '--json', '--policies', folder)).stdout)
    expect(await search('PLAIN')).toEqual(['mine/plain', 'mine/plain-speech'])
    expect(await search('speech')).toEqual(['mine/plain-speech'])
    expect(await search('clearly', 'plain')).toEqual(['mine/plain-speech'])
    expect(await search('ornament')).toEqual(['mine/plain-speech'])
    expect(await search('clearly red')).toEqual([])
    const none = await policies('search', 'no-such-word')
    expect(none).toEqual({ code: 0, stdout: '', stderr: 'No policy is like that.\n' })
  })

  test('show says what is injected, that it was measured in training, and how to use it', async () => {
    const { code, stdout } = await policies('show', 'birds/identity-etymologist')
    expect(code).toBe(0)
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    const words = stdout.replaceAll(/\s+/g, ' ')
    expect(words).toContain('user-prepend: in front of the first user message, one space between')
    expect(words).toContain('applied to every request no place a request without a place for it is refused')
    expect(words).toContain("I'm an etymologist working for the Audubon Society.")
    expect(words).toContain('Measured at training time (arXiv:2604.10022, section 3.1)')
    expect(words).toContain('What it does in requests, where ballast puts it, was not measured')
    const yaml = stdout.slice(stdout.indexOf('  routes:'), stdout.indexOf('\nWhat it makes'))
    const whole = `upstreams: {YOUR-UPSTREAM: {base_url: "http://127.0.0.1:1/v1"}}\njudge: {upstream: YOUR-UPSTREAM, model: m}\n${yaml.replaceAll(/^ {2}/gm, '')}`
    const config = parseConfig(whole, 'ballast.yaml', { environment: {}, catalog: CATALOG_FOLDER })
    expect(config.experiments.mitigation!.arms.treated!.policy).toBe('birds/identity-etymologist')
  })

  test('show claims nothing that was not measured, and sends no control characters to a terminal', async () => {
    const folder = ownFolder()
    const plain = await policies('show', 'mine/plain', '--policies', folder)
    expect(plain.stdout.replaceAll(/\s+/g, ' ')).toContain(
      'Not measured, neither in training data nor in requests.',
    )
    expect(plain.stdout).toContain('Be \\u001b[31mplain.')
    expect(plain.stdout).not.toContain('\u001b')
    const served = await policies('show', 'mine/plain-speech', '--policies', folder)
    expect(served.stdout.replaceAll(/\s+/g, ' ')).toContain(
      'Measured at serving time (a note), on other models than yours.',
    )
    expect(served.stdout.replaceAll(/\s+/g, ' ')).toContain(
      'applied only where the model has not answered before the last user message, and the metadata tier has a value no place a request without a place for it is sent as it came',
    )
    expect(served.stdout).toContain('system-append: behind the leading system message')
  })

  test.each([
    [['show', 'birds/identity-alx'], 'did you mean "birds/identity-alex"?'],
    [['show', 'identity-alex'], 'did you mean "birds/identity-alex"?'],
    [['show', 'nothing/like/it'], '`ballast policies` lists all there are'],
    [['--kind', 'identiti'], 'did you mean "identity"?'],
    [['--family', 'zzzzzz'], 'there are birds'],
    [['birds'], 'There is no "policies birds"; there are list, search WORDS and show ID.'],
    [['--policies', 'no-such-folder'], 'there is no such folder'],
    [['--config', 'no-such.yaml'], 'There is no no-such.yaml here'],
    [['search'], "missing required argument 'words'"],
  ])('%j ends with 2 and says what to do', async (args, message) => {
    const { code, stdout, stderr } = await policies(...args)
    expect(stderr).toContain(message)
    expect([code, stdout]).toEqual([2, ''])
  })

  test('names what is wrong in a folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    writeFileSync(join(folder, 'bad.yaml'), 'policies: [{id: x, interventions: []}]\n')
    const { code, stderr } = await policies('--policies', folder)
    expect(code).toBe(2)
    expect(stderr).toContain('bad.yaml:1:35: policies[0].interventions: is empty')
  })
})
