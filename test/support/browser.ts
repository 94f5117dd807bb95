/** The Chromium that is installed, and pages in it whose complaints and requests are kept. */
import { spawnSync } from 'node:child_process'
import { type Browser, type BrowserContextOptions, chromium as engine, type Page } from 'playwright-core'
import { chromium } from './requires.ts'

export async function launchChromium(): Promise<Browser> {
  const path = spawnSync('sh', ['-c', `command -v ${chromium.executable}`], { encoding: 'utf8' })
  // Without its sandbox it runs as root too; all it opens is the tests' own.
  return await engine.launch({ executablePath: path.stdout.trim(), args: ['--no-sandbox'] })
}

/** What pages complained of and asked for. */
export interface Watched {
  readonly problems: string[]
  readonly requests: string[]
}

/** @param width of the window, px. */
export async function openPage(
  browser: Browser,
  url: string,
  width: number,
  { problems, requests }: Watched,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height: 900 }, ...options })
  const page = await context.newPage()
  page.on('console', (message) => problems.push(message.text()))
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('request', (request) => requests.push(request.url()))
  await page.goto(url)
  return page
}
