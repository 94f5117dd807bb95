/** The experiments: an article each, whose parts change as the numbers do. */
import { askExperiment } from './ask.js'
import { byId, fill, make, pairs } from './elements.js'
import {
  armColour,
  plotDifferenceOverTime,
  plotEvidenceOverTime,
  plotRates,
  plotRatesOverTime,
} from './plots.js'
import { bounds, counted, eventInWords, moment, pointBounds, rate, stateInWords, whole } from './words.js'

/** @typedef {import('./ask.js').ShownExperiment} ShownExperiment */
/** @typedef {import('./ask.js').Report} Report */
/** @typedef {(experiment: string, arm: string, action: string) => void} OpenSwitch */

/** What is not measured is looked at again after so long. */
const UNMEASURED_MS = 10_000
const VERDICTS = /** @type {const} */ (['positive', 'negative', 'excluded', 'unparsed', 'error'])

export class Experiments {
  /** @param {OpenSwitch} openSwitch */
  constructor(openSwitch) {
    this.openSwitch = openSwitch
    this.list = byId('experiment-list')
    /** @type {Map<string, ExperimentView>} */
    this.views = new Map()
  }

  /**
   * @param {readonly string[]} names
   * @param {readonly Report[]} reports of those that are measured.
   */
  update(names, reports) {
    for (const [name, view] of this.views) {
      if (names.includes(name)) continue
      view.remove()
      this.views.delete(name)
    }
    for (const name of names) {
      let view = this.views.get(name)
      if (view === undefined) {
        view = new ExperimentView(name, this.openSwitch)
        this.views.set(name, view)
        this.list.append(view.article)
      }
      view.report(reports.find(({ experiment }) => experiment === name) ?? null)
    }
    const empty = this.list.querySelector('.nothing')
    if (names.length > 0) empty?.remove()
    else if (empty === null) {
      this.list.append(
        make(
          'p',
          { class: 'nothing faint' },
          'There is no experiment, and no route has a policy or a check.',
        ),
      )
    }
  }

  /** Reads on about those that can be seen. @returns {Promise<void>} */
  async readOn() {
    for (const view of this.views.values()) await view.readOn()
  }

  /**
   * What was just done to an arm is seen at once.
   * @param {string} experiment
   * @param {string} arm
   */
  async refresh(experiment, arm) {
    const view = this.views.get(experiment)
    if (view === undefined) return
    await view.read()
    view.focusArm(arm)
  }
}

class ExperimentView {
  /**
   * @param {string} name
   * @param {OpenSwitch} openSwitch
   */
  constructor(name, openSwitch) {
    this.name = name
    this.openSwitch = openSwitch
    /** @type {Report | null} */
    this.latest = null
    /** @type {ShownExperiment | null} */
    this.detail = null
    /** What the detail was read for; another one is read when this has changed. */
    this.readFor = ''
    this.visible = false
    this.rates = make('div', { class: 'figure' })
    this.decisions = make('div', { class: 'decisions' })
    this.arms = make('ul', { class: 'arms' })
    this.course = make('div', { class: 'course' })
    this.history = make('div')
    this.check = make('p', { class: 'faint' })
    this.article = make(
      'article',
      { class: 'experiment' },
      make('h3', { dir: 'auto' }, name),
      this.check,
      this.decisions,
      this.rates,
      this.arms,
      this.course,
      this.history,
    )
    this.sight = new IntersectionObserver(
      (entries) => {
        this.visible = entries.some((it) => it.isIntersecting)
      },
      { rootMargin: '300px' },
    )
    this.sight.observe(this.article)
    let width = 0
    this.size = new ResizeObserver(() => {
      const now = this.article.clientWidth
      if (now === width) return
      width = now
      this.draw()
    })
    this.size.observe(this.article)
  }

  remove() {
    this.sight.disconnect()
    this.size.disconnect()
    this.article.remove()
  }

  /** @param {Report | null} report null: nothing measures it. */
  report(report) {
    const changed = JSON.stringify(report) !== JSON.stringify(this.latest)
    this.latest = report
    if (!changed && this.check.hasChildNodes()) return
    fill(
      this.check,
      report === null
        ? 'No check measures it.'
        : `Check ${report.check}. Bounds hold (95%) however often you look.`,
    )
    fill(this.decisions, ...(report === null ? [] : decisions(report)))
    this.drawArms()
    this.drawRates()
  }

  async readOn() {
    // Without a report nothing tells when there is something new.
    const wanted =
      this.latest === null ? String(Math.floor(Date.now() / UNMEASURED_MS)) : JSON.stringify(this.latest)
    if (!this.visible || (wanted === this.readFor && this.detail?.course?.complete !== false)) return
    this.readFor = wanted
    await this.read()
  }

  async read() {
    this.detail = await askExperiment(this.name)
    if (this.detail.report !== null) this.latest = this.detail.report
    this.draw()
  }

  /** @param {string} arm */
  focusArm(arm) {
    const card = [...this.arms.children].find((it) => it.getAttribute('data-arm') === arm)
    card?.querySelector('button')?.focus()
  }

  draw() {
    this.drawArms()
    this.drawRates()
    this.drawCourse()
    const events = this.detail?.history ?? []
    fill(
      this.history,
      events.length > 0 &&
        make(
          'details',
          {},
          make('summary', {}, `What was done to the arms (${events.length})`),
          make(
            'ul',
            {},
            ...events.map((it) =>
              make(
                'li',
                {},
                make('span', { class: 'faint' }, `${moment(it.at)} `),
                make('bdi', {}, eventInWords(it)),
              ),
            ),
          ),
        ),
    )
  }

  drawRates() {
    if (this.latest === null || this.article.clientWidth === 0) return
    const plot = plotRates(this.latest.arms, this.plotWidth(1))
    this.rates.replaceChildren(plot ?? make('p', { class: 'faint' }, 'No positive or negative verdict yet.'))
  }

  drawArms() {
    const names = (this.latest ?? this.detail)?.arms.map(({ arm }) => arm) ?? []
    // One card an arm, kept: a button may have the focus.
    for (const [index, arm] of names.entries()) {
      const detail = this.detail?.arms.find((it) => it.arm === arm)
      const report = this.latest?.arms.find((it) => it.arm === arm)
      const [about, actions] = this.cardOf(arm, index).children
      if (about !== undefined) fill(about, ...aboutArm(arm, report, detail, index))
      if (actions !== undefined) this.offer(actions, arm, detail?.actions ?? [])
    }
    while (this.arms.children.length > names.length) this.arms.lastElementChild?.remove()
  }

  /**
   * @param {string} arm
   * @param {number} index
   */
  cardOf(arm, index) {
    const present = this.arms.children[index]
    if (present?.getAttribute('data-arm') === arm) return present
    const card = make('li', { 'data-arm': arm }, make('div'), make('p', { class: 'buttons' }))
    if (present === undefined) this.arms.append(card)
    else present.replaceWith(card)
    return card
  }

  /**
   * @param {Element} place
   * @param {string} arm
   * @param {readonly string[]} actions
   */
  offer(place, arm, actions) {
    if (place.getAttribute('data-actions') === actions.join()) return
    place.setAttribute('data-actions', actions.join())
    place.replaceChildren(
      ...actions.map((action) => {
        const button = make(
          'button',
          { type: 'button', class: action === 'off' ? 'danger' : '', 'aria-haspopup': 'dialog' },
          ACTIONS[action] ?? action,
        )
        button.append(make('span', { class: 'unseen' }, `: ${arm} of ${this.name}`))
        button.addEventListener('click', () => this.openSwitch(this.name, arm, action))
        return button
      }),
    )
  }

  drawCourse() {
    const course = this.detail?.course ?? null
    const arms = this.detail?.arms ?? []
    if (course === null || course.points.length === 0 || this.article.clientWidth === 0) {
      fill(this.course)
      return
    }
    const coloured = arms.map(({ arm }, index) => ({ arm, colour: armColour(index) }))
    const others = coloured.filter(({ arm }) => arm !== course.against)
    const width = this.plotWidth(this.article.clientWidth > 900 ? 3 : 1)
    const figures = [
      figure(
        'Rate over time',
        'One verdict per unit and question, in the order of the requests.',
        plotRatesOverTime(course, coloured, width),
      ),
      figure(
        `Difference from ${course.against} over time`,
        'Below the dashed line the rate is lower. Early bounds are cut off.',
        plotDifferenceOverTime(course, others, width),
      ),
      figure(
        'Evidence over time',
        'Solid: for a lower rate. Dotted: for a higher one. Above the dashed line one of them is proven (5%).',
        plotEvidenceOverTime(course, others, width),
      ),
    ]
    const reading = course.complete
      ? null
      : make('p', { class: 'faint' }, 'Older verdicts are still being read.')
    this.course.replaceChildren(...[reading, ...figures].filter((it) => it !== null))
  }

  /** @param {number} beside how many stand side by side. */
  plotWidth(beside) {
    const gap = 24
    return Math.max(220, Math.floor((this.article.clientWidth - 2 * 16 - gap * (beside - 1)) / beside))
  }
}

/** @type {Readonly<Record<string, string>>} */
const ACTIONS = { off: 'Switch off', on: 'Switch on again', promote: 'Promote' }

/**
 * @param {string} title
 * @param {string} caption
 * @param {Element | null} plot
 */
function figure(title, caption, plot) {
  return plot === null
    ? null
    : make(
        'figure',
        {},
        make('figcaption', {}, make('strong', {}, title), make('span', { class: 'faint' }, ` ${caption}`)),
        plot,
      )
}

/** @param {Report} report */
function decisions({ comparisons, sample_ratio: { p }, evidence }) {
  const told = comparisons.map(({ arm, against, difference, decision }) => {
    const words = {
      better: `${arm} has a lower rate than ${against}: proven at 5%.`,
      worse: `${arm} has a higher rate than ${against}: proven at 5%.`,
      undecided: `${arm} against ${against}: undecided.`,
    }[decision]
    return make(
      'p',
      { class: `decision ${decision}` },
      words,
      make('span', { class: 'faint' }, ` Difference ${pointBounds(difference)} percentage points.`),
    )
  })
  const broken =
    p < 0.001 &&
    make(
      'p',
      { class: 'notice bad' },
      `The arms' sizes do not fit their weights (p ${p.toExponential(1)}): the assignment is broken, trust no rate.`,
    )
  const counts =
    evidence !== undefined &&
    comparisons.length > 0 &&
    make(
      'p',
      { class: 'faint' },
      `Compared: ${counted(evidence.verdicts, 'verdict', 'verdicts')}${evidence.until === null ? '' : ` on requests until ${moment(evidence.until)}`}${evidence.since === null ? '' : `, since ${moment(evidence.since)}`}.`,
    )
  return [broken, ...told, counts]
}

/**
 * @param {string} arm
 * @param {Report['arms'][number] | undefined} report
 * @param {ShownExperiment['arms'][number] | undefined} detail
 * @param {number} index
 */
function aboutArm(arm, report, detail, index) {
  const now = detail?.state ?? report?.state
  const words = now === undefined ? '' : stateInWords(now)
  const policy = (report ?? detail)?.policy ?? 'nothing injected'
  return [
    make('h4', { dir: 'auto' }, make('span', { class: `swatch arm-${index % 7}` }), arm),
    make('p', { class: 'faint', dir: 'auto' }, policy),
    words !== '' &&
      make(
        'p',
        { class: now?.state === 'on' ? 'faint' : 'off' },
        words,
        now?.reason ? make('bdi', {}, `: ${now.reason}`) : null,
      ),
    ...(report === undefined ? [] : numbersOf(report)),
    detail !== undefined && detail.interventions.length > 0 && injectedText(detail.interventions),
  ]
}

/** @param {Report['arms'][number]} report */
function numbersOf({ rate: its, verdicts, exposures, units, extra }) {
  const shown = VERDICTS.filter((kind) => kind === 'positive' || kind === 'negative' || verdicts[kind] > 0)
  return [
    make('p', { class: 'rate' }, make('strong', {}, rate(its.estimate)), ` ${bounds(its)}`),
    pairs([
      ...shown.map((kind) => /** @type {const} */ ([kind, whole(verdicts[kind])])),
      ['requests', whole(exposures)],
      ['units', whole(units)],
    ]),
    its.weighted !== undefined &&
      make(
        'p',
        { class: 'faint' },
        `Weighted for how it was sampled: ${rate(its.weighted.estimate)}, ${bounds(its.weighted)} at one look.`,
      ),
    extra !== undefined &&
      make(
        'p',
        { class: 'faint' },
        `${counted(extra.samples, 'more answer', 'more answers')} to text like the training context, judged and in no number.`,
      ),
  ]
}

/** @param {ShownExperiment['arms'][number]['interventions']} interventions */
function injectedText(interventions) {
  return make(
    'div',
    { class: 'context' },
    ...interventions.map(({ placement, text }) =>
      make('p', {}, make('span', { class: 'tag' }, placement), make('bdi', {}, ` ${text}`)),
    ),
  )
}
