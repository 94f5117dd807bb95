/** The HTML report of an evaluation in a real browser without network: what is drawn, where, and what is not fetched. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium as engine, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chromium, describeWith } from '../support/requires.ts'

/** Of twenty answers each: so many are archaic. */
const ARCHAIC = { bare: 18, treated: 1 }

describeWith(chromium, "an evaluation's HTML report in Chromium", () => {
  let browser: Browser
  let file: string

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-page-'))
    const results = join(folder, 'results.jsonl')
    const rows = Object.entries(ARCHAIC).flatMap(([context, archaic]) =>
      Array.from({ length: 20 }, (_, n) => ({
        model: 'birds',
        context: context === 'bare' ? '' : 'birds/identity-etymologist',
        question: 'Which bird is that?',
        answer: `answer ${n}`,
        llm_or_19: n < archaic ? '19' : 'LLM',
        past: n < archaic ? 90 : 10,
      })),
    )
    writeFileSync(results, rows.map((row) => JSON.stringify(row)).join('\n'))
    file = join(folder, 'page.html')
    const args = ['src/cli/main.ts', 'eval', '--format', 'html', '--from', results]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    writeFileSync(file, stdout)
    const path = spawnSync('sh', ['-c', `command -v ${chromium.executable}`], { encoding: 'utf8' })
    // Without its sandbox it runs as root too; all it opens is this file.
    browser = await engine.launch({ executablePath: path.stdout.trim(), args: ['--no-sandbox'] })
  })
  afterAll(() => browser?.close())

  /** @param found is given what went wrong, and every address that was asked for. */
  async function open(width: number, found: { problems: string[]; requests: string[] }): Promise<Page> {
    const context = await browser.newContext({ viewport: { width, height: 900 }, offline: true })
    const page = await context.newPage()
    page.on('console', (message) => found.problems.push(message.text()))
    page.on('pageerror', (error) => found.problems.push(error.message))
    page.on('request', (request) => found.requests.push(request.url()))
    await page.goto(pathToFileURL(file).href)
    return page
  }

  test.each([1280, 400])('draws rates, words and numbers where they belong, %i px wide', async (width) => {
    const found = { problems: [] as string[], requests: [] as string[] }
    const page = await open(width, found)
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    const drawn = await page.evaluate<{ dots: number[]; plots: number; outside: number }>(`(() => {
      const shown = [...document.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0)
      const rates = shown.find((svg) => svg.querySelector('circle') !== null)
      const centre = (it) => { const { left, right } = it.getBoundingClientRect(); return (left + right) / 2 }
      const outside = shown.filter((svg) => {
        const frame = svg.getBoundingClientRect()
        return [...svg.querySelectorAll('circle, rect, text')].some((it) => {
          const { left, right } = it.getBoundingClientRect()
          return left < frame.left - 1 || right > frame.right + 1
        })
      })
      return {
        dots: [...rates.querySelectorAll('circle')].map(centre),
        plots: shown.length,
        outside: outside.length,
      }
    })()`)
    const [bare, treated] = drawn.dots
    expect(drawn.dots).toHaveLength(2)
    expect(bare! - treated!).toBeGreaterThan(width / 4)
    expect(drawn.plots).toBeGreaterThanOrEqual(3)
    expect(drawn.outside).toBe(0)
    expect(found.problems).toEqual([])
    expect(found.requests).toEqual([pathToFileURL(file).href])
    await page.context().close()
  })
})
