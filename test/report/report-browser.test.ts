/** The HTML report in a real browser without network: what is drawn, where, and what is not fetched or run. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium, openPage } from '../support/browser.ts'
import { ballast } from '../support/command.ts'
import { addAdvice, addAlone, makeReportStore } from '../support/report-stores.ts'
import { chromium, describeWith } from '../support/requires.ts'

interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

describeWith(chromium, 'the HTML report in Chromium', () => {
  let browser: Browser
  let file: string
  const problems: string[] = []
  const requests: string[] = []

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    const made = await makeReportStore(folder)
    await addAdvice(made, 1_500)
    await addAlone(made)
    await made.store.close()
    file = join(folder, 'report.html')
    const args = ['src/cli/main.ts', 'report', '--config', made.config, '--output', file]
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  const open = (width: number, options: BrowserContextOptions = {}): Promise<Page> =>
    openPage(browser, pathToFileURL(file).href, width, { problems, requests }, { offline: true, ...options })

  /** Where the elements are that a selector finds within the first experiment's visible plots. */
  const boxes = async (page: Page, selector: string): Promise<Box[]> =>
    await page.evaluate<Box[]>(`[...document.querySelectorAll('section:first-of-type svg.plot')]
      .filter((svg) => getComputedStyle(svg).display !== 'none')
      .flatMap((svg) => [...svg.querySelectorAll(${JSON.stringify(selector)})])
      .map((it) => { const { left, right, top, bottom } = it.getBoundingClientRect(); return { left, right, top, bottom } })`)

  test.each([1280, 400])(
    'draws an interval and an estimate for each arm, in order, %i px wide',
    async (width) => {
      const page = await open(width)
      const intervals = await boxes(page, '.anytime-bounds path')
      const estimates = await boxes(page, '.estimates circle')
      expect([intervals.length, estimates.length]).toEqual([3, 3])
      for (const [index, { left, right, top }] of intervals.entries()) {
        const centre = (estimates[index]!.left + estimates[index]!.right) / 2
        expect(left).toBeLessThan(centre)
        expect(right).toBeGreaterThan(centre)
        if (index > 0) expect(top).toBeGreaterThan(intervals[index - 1]!.top)
      }
      // Control, assistant, archaic: the assistant's true rate is a third of the others'.
      expect(estimates[1]!.right).toBeLessThan(estimates[0]!.left)
      expect(await boxes(page, '.sequence path')).toHaveLength(3)
      expect((await boxes(page, '.verdicts rect')).length).toBeGreaterThanOrEqual(9)
      expect((await boxes(page, '.scores rect')).length).toBeGreaterThan(60)
      await page.context().close()
    },
  )

  test.each([1280, 400])(
    'draws nothing outside its plot, and no plot outside the page, %i px wide',
    async (width) => {
      const page = await open(width)
      const outside = await page.evaluate<string[]>(`[...document.querySelectorAll('svg.plot')]
      .filter((svg) => getComputedStyle(svg).display !== 'none')
      .flatMap((svg) => {
        const frame = svg.getBoundingClientRect()
        return [...svg.querySelectorAll('path, rect, circle, text, line')]
          .filter((it) => { const box = it.getBoundingClientRect(); return box.left < frame.left - 1 || box.right > frame.right + 1
            || box.top < frame.top - 1 || box.bottom > frame.bottom + 1 })
          .map((it) => svg.querySelector('title').textContent + ': ' + it.outerHTML.slice(0, 120))
      })`)
      expect(outside).toEqual([])
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
      const shown = await page.evaluate<number>(
        "[...document.querySelectorAll('svg.plot')].filter((svg) => getComputedStyle(svg).display !== 'none').length",
      )
      expect(shown).toBe(await page.locator('figure').count())
      await page.context().close()
    },
  )

  test('arms have the same colour in all plots, and other ones in the dark', async () => {
    const colours = async (page: Page) =>
      await page.evaluate<
        string[][]
      >(`['.anytime-bounds path', '.estimates circle', '.sequence path'].map((selector) =>
        [...document.querySelectorAll('section:first-of-type svg.wide ' + selector)].map((it) => {
          const style = getComputedStyle(it)
          return selector.startsWith('.any') ? style.stroke : style.fill
        }))`)
    const light = await open(1280, { colorScheme: 'light' })
    const [bounds, dots, areas] = await colours(light)
    expect(new Set(bounds).size).toBe(3)
    expect([dots, areas]).toEqual([bounds, bounds])
    const background = 'getComputedStyle(document.body).backgroundColor'
    expect(await light.evaluate(background)).toBe('rgb(255, 255, 255)')
    const dark = await open(1280, { colorScheme: 'dark' })
    expect((await colours(dark))[0]).not.toEqual(bounds)
    expect(await dark.evaluate(background)).not.toBe('rgb(255, 255, 255)')
    await Promise.all([light.context().close(), dark.context().close()])
  })

  test('an experiment without verdicts says so and shows no empty frame', async () => {
    const page = await open(1280)
    const empty = page.locator('section').nth(1)
    expect(await empty.locator('h2').textContent()).toBe('empty')
    expect(await empty.locator('svg').count()).toBe(0)
    expect(await empty.locator('.conclusion').textContent()).toBe(
      'Nothing is known yet: no verdict counts so far.',
    )
    expect(await empty.locator('.empty').allTextContents()).toContain('No positive or negative verdict yet.')
    await page.context().close()
  })

  test('every plot has a title and a description that says its numbers', async () => {
    const page = await open(1280)
    const described = await page.evaluate<string[]>(`[...document.querySelectorAll('svg.plot')].map((svg) =>
      svg.getAttribute('aria-labelledby').split(' ').map((id) => document.getElementById(id).textContent).join(' | '))`)
    expect(described.length).toBeGreaterThan(10)
    for (const text of described) expect(text).toMatch(/^.+ \| .*\d/)
    await page.context().close()
  })

  test('untrusted text stays text', async () => {
    const page = await open(1280)
    expect(await page.locator('script').count()).toBe(0)
    expect(await page.locator('section b').count()).toBe(0)
    expect(readFileSync(file, 'utf8')).not.toContain('<script')
    expect((await page.locator('svg.wide').allTextContents()).join()).toContain('<script>alert("x")</script>')
    await page.context().close()
  })

  test('prints in light colours, wide', async () => {
    const page = await open(400, { colorScheme: 'dark' })
    await page.emulateMedia({ media: 'print' })
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)')
    expect(await page.evaluate("getComputedStyle(document.querySelector('svg.narrow')).display")).toBe('none')
    await page.context().close()
  })

  test('in all of this nothing was fetched and nothing complained', () => {
    expect(problems).toEqual([])
    expect(new Set(requests)).toEqual(new Set([pathToFileURL(file).href]))
  })
})

test('the HTML report holds no address to fetch from and no script, with or without a browser here', async () => {
  const made = await makeReportStore(mkdtempSync(join(tmpdir(), 'ballast-')))
  await made.store.close()
  const { code, stdout } = await ballast(['report', '--config', made.config, '--format', 'html']).finished
  expect(code).toBe(0)
  expect(stdout).toMatch(/^<!doctype html>/)
  expect(stdout).not.toMatch(/<script|\bon\w+=|<link|<img|src=|@import|url\((?!#)/)
})
