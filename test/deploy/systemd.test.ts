/** `deploy/systemd/ballast.service`, held to systemd's own checks. No systemd runs it here. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER, LAST_STORING_MS } from '../../src/node.ts'
import { describeWith, type Requirement } from '../support/requires.ts'

const UNIT = readFileSync(join(import.meta.dirname, '../../deploy/systemd/ballast.service'), 'utf8')
/** Of ten; what systemd calls OK ends at 5. */
const EXPOSURE = 2

const analyze = (...args: readonly string[]) =>
  spawnSync('systemd-analyze', ['--no-pager', ...args], { encoding: 'utf8' })
const systemd: Requirement = { name: 'systemd-analyze', missing: analyze('--version').error !== undefined }

/** The unit in a folder of its own, with a program that is there. */
function unitFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-systemd-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'ballast.service')
  writeFileSync(file, text.replace('/usr/local/bin/ballast', '/bin/true'))
  return file
}

describeWith(systemd, 'deploy/systemd/ballast.service', () => {
  test('has nothing that systemd minds', () => {
    const verified = analyze('verify', unitFile(UNIT))
    expect(`${verified.stdout}${verified.stderr}`).toBe('')
    expect(verified.status).toBe(0)
    expect(analyze('verify', unitFile(UNIT.replace('Type=exec', 'Typ=exec'))).stderr).toContain('Typ')
  })

  test('is exposed to little', () => {
    const threshold = `--threshold=${EXPOSURE * 10}`
    expect(analyze('security', '--offline=true', threshold, unitFile(UNIT)).status).toBe(0)
    const open = UNIT.replaceAll(/^(Protect|Restrict|SystemCall|Capability|Private|NoNew).*\n/gm, '')
    expect(analyze('security', '--offline=true', threshold, unitFile(open)).status).not.toBe(0)
  })
})

test('the service is given the time that draining and the last storing take', () => {
  const { limits } = parseConfig(
    'upstreams: {p: {base_url: "http://127.0.0.1:9/v1"}}\nroutes: [{model: "*", upstream: p}]\n',
    'ballast.yaml',
    { environment: {}, catalog: CATALOG_FOLDER },
  )
  const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(UNIT)![1])
  expect(seconds * 1_000).toBeGreaterThanOrEqual(limits.drain + LAST_STORING_MS)
})
