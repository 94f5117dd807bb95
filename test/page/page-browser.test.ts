/**
 * The page in a real browser: numbers that move, answers that are hostile, a judge that is down, the kill switch by keyboard;
 * no complaint, no request to anybody else, nothing that an accessibility checker finds serious.
 */
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { launchChromium, openPage } from '../support/browser.ts'
import { CONTROL_YAML, type Stand, startStand, TOKEN } from '../support/control.ts'
import { chromium, describeWith } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const HOSTILE = [
  'Pray <script>window.pwned = 1</script>',
  '<img src="https://evil.example/x.png" onerror="window.pwned = 2"><svg onload="window.pwned = 3">',
  '</pre></article></main><style>*{display:none}</style><base href="https://evil.example/">',
  'مرحبا بالعالم \u202Etxet desrever\u202C and on',
].join('\n')
const LONG = `Pray ${'very long '.repeat(10_000)}the end`

describeWith(chromium, 'the page in Chromium', () => {
  let browser: Browser
  const watched = { problems: [] as string[], requests: [] as string[] }
  const origins = new Set<string>()

  beforeAll(async () => {
    browser = await launchChromium()
  })
  // Before the ballast that it looks at is closed.
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close()
  })
  afterAll(() => browser?.close())

  /** Opens it and waits until it has drawn what there is. */
  async function open(stand: Stand, width = 1280, options: BrowserContextOptions = {}): Promise<Page> {
    origins.add(new URL(stand.ballast.adminUrl).origin)
    const page = await openPage(browser, `${stand.ballast.adminUrl}/`, width, watched, options)
    await page.locator('#updated', { hasText: 'Updated' }).waitFor()
    return page
  }

  const card = (page: Page, arm: string) => page.locator(`.experiment:first-child [data-arm="${arm}"]`)
  const askSeveral = async (stand: Stand, from: number, to: number) => {
    for (let n = from; n < to; n++) await stand.ask(`Hi ${n}?`, `u-${n}`)
  }
  /** Control answers with the trait, the treated arm without. */
  const traited = (question: string) => (question.includes('Audubon') ? 'By train.' : 'Pray take the coach.')

  test('numbers, plots and answers move while one looks, and nothing that is in use is taken away', async () => {
    const stand = await startStand({ answer: traited })
    await askSeveral(stand, 0, 8)
    await stand.ballast.settle()
    const page = await open(stand)
    const rates = page.locator('.figure svg').first()
    await page.locator('.course svg').nth(2).waitFor()
    const before = await rates.getAttribute('aria-label')
    const course = await page.locator('.course svg').first().getAttribute('aria-label')
    const button = card(page, 'etymologist').getByRole('button', { name: 'Switch off' })
    await button.focus()
    await page.evaluate('document.activeElement.dataset.kept = "yes"')
    const shown = await page.locator('.sample').count()
    await askSeveral(stand, 8, 40)
    await stand.ballast.settle()
    await expect.poll(() => rates.getAttribute('aria-label'), { timeout: 10_000 }).not.toBe(before)
    const first = page.locator('.course svg').first()
    await expect.poll(() => first.getAttribute('aria-label'), { timeout: 10_000 }).not.toBe(course)
    expect(await rates.getAttribute('aria-label')).toMatch(/control 100\.0%.*etymologist 0\.0%/)
    await page.locator('.sample').nth(shown).waitFor()
    await expect.poll(() => card(page, 'control').locator('.rate').textContent()).toContain('100.0%')
    expect(await page.evaluate('document.activeElement.dataset.kept')).toBe('yes')
    expect(await page.locator('.sequence path').count()).toBe(3)
  })

  test.each([1280, 400])('hostile answers are text, %i px wide', async (width) => {
    const stand = await startStand({ answer: (question) => (question.includes('long') ? LONG : HOSTILE) })
    const id = await stand.ask(`${HOSTILE} hm?`, 'u')
    const long = await stand.ask('long?', 'v')
    await stand.ballast.settle()
    const page = await open(stand, width)
    const sample = page.locator(`[data-id="${id}"]`)
    const answer = sample.locator('pre').last()
    expect((await answer.textContent())?.replaceAll(/U\+202[EC]/g, '')).toBe(
      HOSTILE.replaceAll(/[\u202E\u202C]/g, ''),
    )
    expect(await answer.locator('.hidden-character').allTextContents()).toEqual(['U+202E', 'U+202C'])
    expect(await sample.locator('pre').first().textContent()).toContain('<script>window.pwned = 1</script>')

    const longer = page.locator(`[data-id="${long}"]`)
    await longer.getByRole('button', { name: 'Show all of it' }).click()
    await expect
      .poll(async () => (await longer.locator('pre').last().textContent())?.length)
      .toBe(LONG.length)
    // Shown, it stays while the page goes on.
    await page.waitForTimeout(4_500)
    expect(await longer.locator('pre').last().textContent()).toBe(LONG)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    expect(await page.evaluate('window.pwned')).toBeUndefined()
    expect(await page.locator('main script, main img, main style, base, main svg:not(.plot)').count()).toBe(0)
  })

  test('says plainly that the judge is down, which upstream fails, and when they are back', async () => {
    const yaml = `store: memory\n${CONTROL_YAML.replace('attempts: 1', 'attempts: 30')}`
    const stand = await startStand({ yaml, answer: traited })
    const { answer } = stand.upstream
    let up = false
    stand.upstream.answer = (request, response) => {
      if (up || !request.body.includes('judge-1')) return answer(request, response)
      json(response, 503, { error: { message: 'out of order' } })
    }
    await askSeveral(stand, 0, 8)
    const page = await open(stand)
    const banner = page.locator('#banner')
    await banner
      .getByText(/The judge is down: judge-1 has been failing since .* answers wait to be judged/)
      .waitFor()
    expect(await page.locator('#judging .bad').textContent()).toContain('judge-1 at judges is failing')
    up = true
    await banner.getByText('The judge is down').waitFor({ state: 'detached', timeout: 20_000 })
    await page.locator('#judging .good').waitFor()
    stand.upstream.answer = (_request, response) => json(response, 500, completion('no'))
    for (let n = 0; n < 6; n++) await stand.ask('Hi', `w-${n}`)
    await banner.getByText('The upstream p keeps failing').waitFor()
    expect(await page.locator('#upstreams .bad').textContent()).toContain('p breaker open')
  })

  test('an answer that waits gets its verdict while one looks, and a choice of verdict and arm is kept to', async () => {
    const stand = await startStand({ answer: traited })
    const { answer } = stand.upstream
    const { promise, resolve: judge } = Promise.withResolvers<void>()
    stand.upstream.answer = async (request, response) => {
      if (request.body.includes('judge-1')) await promise
      await answer(request, response)
    }
    await askSeveral(stand, 0, 6)
    const page = await open(stand)
    await page.locator('select[name=verdict]').selectOption('')
    await page.locator('.sample .verdict.waiting').nth(5).waitFor()
    judge()
    await page.locator('.sample .verdict.waiting').first().waitFor({ state: 'detached' })
    expect(await page.locator('.sample').count()).toBe(6)
    const control = await page.locator('.sample .verdict.positive').count()
    await page.locator('select[name=verdict]').selectOption('negative')
    await page.locator('select[name=experiment]').selectOption('birds')
    await page.locator('select[name=arm]').selectOption('etymologist')
    await expect.poll(() => page.locator('.sample').count()).toBe(6 - control)
    expect(await page.locator('.sample mark').count()).toBe(6 - control)
    await page.locator('select[name=arm]').selectOption('control')
    await page.getByText('There are none.').waitFor()
  })

  test('an experiment that nothing measures is there too, with its switches', async () => {
    const yaml = `store: memory
upstreams: {p: {base_url: "\${UPSTREAM}"}}
routes: [{model: "ft:*", upstream: p, experiment: birds}, {model: "*", upstream: p}]
experiments: {birds: {arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}}}
`
    const stand = await startStand({ yaml })
    const page = await open(stand)
    await page.getByText('No check measures it.').waitFor()
    await card(page, 'etymologist').getByText('Audubon').waitFor()
    await card(page, 'etymologist').getByRole('button', { name: 'Switch off' }).click()
    await page.getByLabel('Your name').fill('Ada')
    await page.getByLabel('Why').fill('its tone')
    await page.getByRole('button', { name: 'Switch it off' }).click()
    await card(page, 'etymologist').getByText('by a person').waitFor()
    expect(stand.ballast.plan.experiments[0]!.switches.isOff('etymologist')).toBe(true)
  })

  test('says that ballast does not answer any more, and that what is shown is old', async () => {
    const stand = await startStand({ answer: traited })
    const page = await open(stand)
    await stand.ballast.close(0)
    await page.locator('#banner').getByText('ballast does not answer. What you see below is old.').waitFor()
    await page.context().close()
    // The browser itself complains of each request that fails.
    const others = watched.problems.filter((it) => !it.startsWith('Failed to load resource'))
    watched.problems.splice(0, watched.problems.length, ...others)
  })

  test('the kill switch works by keyboard alone, asks who and why, and gives the focus back', async () => {
    const stand = await startStand({ answer: traited, token: true })
    await askSeveral(stand, 0, 6)
    await stand.ballast.settle()
    const page = await open(stand, 1280, { httpCredentials: { username: 'ballast', password: TOKEN } })
    const off = card(page, 'etymologist').getByRole('button', { name: 'Switch off' })
    await off.waitFor()
    const focused = () => page.evaluate<string>('document.activeElement.textContent')
    for (let n = 0; n < 40 && !/^Switch off: etymologist/.test(await focused()); n++)
      await page.keyboard.press('Tab')
    expect(await focused()).toBe('Switch off: etymologist of birds')
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Switch off: etymologist of birds' })
    await dialog.waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    expect(await focused()).toBe('Switch off: etymologist of birds')

    await page.keyboard.press('Enter')
    await page.keyboard.type('Ada')
    await page.keyboard.press('Enter')
    expect(await dialog.getByRole('alert').textContent()).toBe(
      'Say who you are, and why: whoever looks at the numbers later is told.',
    )
    await page.keyboard.type('its tone <b>')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    await card(page, 'etymologist').getByText('off: nothing is injected for its units').waitFor()
    expect(await card(page, 'etymologist').textContent()).toContain('its tone <b> (Ada, on the page)')
    await expect.poll(focused).toBe('Switch on again: etymologist of birds')
    expect(stand.ballast.plan.experiments[0]!.switches.isOff('etymologist')).toBe(true)
    await page.getByText('What was done to the arms (1)').waitFor()
  })

  const looks = [
    [1280, 'light'],
    [1280, 'dark'],
    [400, 'light'],
    [400, 'dark'],
  ] as const
  test.each(looks)(
    'nothing serious for an accessibility checker, every rate in sight: %i px, %s',
    async (width, colorScheme) => {
      const stand = await startStand({ answer: traited })
      await askSeveral(stand, 0, 30)
      await stand.ballast.settle()
      const page = await open(stand, width, { colorScheme })
      await page.locator('.course svg').nth(2).waitFor()
      for (const arm of ['control', 'etymologist']) {
        const box = (await card(page, arm).locator('.rate').boundingBox())!
        expect([box.x >= 0, box.x + box.width <= width, box.width > 100]).toEqual([true, true, true])
      }
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
      const outside = await page.evaluate<
        string[]
      >(`[...document.querySelectorAll('svg.plot')].flatMap((svg) => {
      const frame = svg.closest('article').getBoundingClientRect()
      return [...svg.querySelectorAll('path, circle, text, line')].filter((it) => {
        const box = it.getBoundingClientRect()
        return box.left < frame.left || box.right > frame.right
      }).map((it) => it.outerHTML.slice(0, 120))
    })`)
      expect(outside).toEqual([])
      await page.locator('#config-values summary').click()
      await page.locator('#config-text pre').waitFor()
      const serious = async () => {
        await page.evaluate(axe.source)
        const { violations } = await page.evaluate<axe.AxeResults>('axe.run()')
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))])
      }
      expect(await serious()).toEqual([])
      await card(page, 'control').getByRole('button', { name: 'Switch off' }).click()
      expect(await serious()).toEqual([])
    },
  )

  test('in all of this nothing complained, and nobody but ballast was asked', () => {
    expect(watched.problems).toEqual([])
    expect(watched.requests.length).toBeGreaterThan(50)
    expect(watched.requests.filter((url) => !origins.has(new URL(url).origin))).toEqual([])
  })
})
