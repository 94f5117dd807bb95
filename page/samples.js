/** The list of judged answers. All texts in it are untrusted and become text nodes alone. */
import { askSample, askSamples } from './ask.js'
import { byId, fill, make, plain } from './elements.js'
import { counted, moment, whole } from './words.js'

/** @typedef {import('./ask.js').ShownSample} ShownSample */
/** @typedef {import('./ask.js').Report} Report */
/** @typedef {NonNullable<ShownSample['texts']>} Texts */

const PAGE = '6'

export class Samples {
  constructor() {
    this.list = byId('sample-list')
    this.form = /** @type {HTMLFormElement} */ (byId('sample-filter'))
    this.older = byId('sample-older')
    /** @type {string | null} */
    this.next = null
    /** Whether older ones are shown, which then stay. */
    this.paged = false
    /** Of which filter the shown ones are; an answer to another one comes too late. */
    this.generation = 0
    /** @type {readonly Report[]} */
    this.reports = []
    this.form.addEventListener('change', (event) => {
      if (event.target === this.field('experiment')) this.offerArms()
      this.generation++
      this.paged = false
      this.list.replaceChildren()
      void this.update().catch(() => {})
    })
    this.older.addEventListener('click', () => void this.readOlder().catch(() => {}))
  }

  /** @param {readonly Report[]} reports */
  offer(reports) {
    this.reports = reports
    offerChoices(
      this.field('experiment'),
      reports.map(({ experiment }) => experiment),
    )
    this.offerArms()
  }

  offerArms() {
    const chosen = this.reports.find(({ experiment }) => experiment === this.field('experiment').value)
    const arms = this.field('arm')
    arms.disabled = chosen === undefined
    offerChoices(arms, chosen?.arms.map(({ arm }) => arm) ?? [])
  }

  /** Puts new ones on top. */
  async update() {
    const { generation } = this
    const { samples, next } = await askSamples(this.query())
    if (generation !== this.generation) return
    const shown = new Map([...this.list.children].map((it) => [it.getAttribute('data-id'), it]))
    let place = this.list.firstElementChild
    for (const sample of samples) {
      const card = shown.get(sample.id) ?? null
      if (card === null) {
        this.list.insertBefore(cardOf(sample), place)
        continue
      }
      place = card.nextElementSibling
      if (card.getAttribute('data-state') !== stateOf(sample) && !isRead(card))
        card.replaceWith(cardOf(sample))
    }
    if (!this.paged) {
      this.next = next
      const ids = new Set(samples.map(({ id }) => id))
      for (const [id, card] of shown) {
        // Who reads one keeps it.
        if (!ids.has(id ?? '') && !isRead(card)) card.remove()
      }
    }
    this.show()
  }

  async readOlder() {
    if (this.next === null) return
    const { generation } = this
    const { samples, next } = await askSamples({ ...this.query(), after: this.next })
    if (generation !== this.generation) return
    this.paged = true
    this.next = next
    this.list.append(...samples.map(cardOf))
    this.show()
  }

  show() {
    byId('sample-none').hidden = this.list.children.length > 0
    this.older.hidden = this.next === null
  }

  query() {
    return {
      verdict: this.field('verdict').value,
      experiment: this.field('experiment').value,
      arm: this.field('arm').value,
      limit: PAGE,
    }
  }

  /** @param {string} name */
  field(name) {
    return /** @type {HTMLSelectElement} */ (this.form.elements.namedItem(name))
  }
}

/**
 * @param {HTMLSelectElement} select
 * @param {readonly string[]} names
 */
function offerChoices(select, names) {
  const { value } = select
  if (
    [...select.options]
      .slice(1)
      .map((it) => it.value)
      .join('\0') === names.join('\0')
  )
    return
  select.replaceChildren(
    make('option', { value: '' }, 'any'),
    ...names.map((name) => make('option', { value: name }, name)),
  )
  select.value = names.includes(value) ? value : ''
}

/**
 * What changes of a sample once it is kept.
 * @param {ShownSample} sample
 */
function stateOf({ verdict, labels }) {
  return `${verdict} ${labels.length}`
}

/**
 * Whether somebody has opened it or works in it.
 * @param {Element} card
 */
function isRead(card) {
  return card.contains(document.activeElement) || card.querySelector('.whole') !== null
}

/** @param {ShownSample} sample */
function cardOf(sample) {
  const texts = make('div', { class: 'texts' })
  fill(texts, ...textsOf(sample))
  const cut = sample.texts !== null && isCut(sample.texts)
  const more = cut ? make('button', { type: 'button' }, 'Show all of it') : null
  more?.append(make('span', { class: 'unseen' }, `: sample ${sample.id}`))
  more?.addEventListener('click', async () => {
    more.disabled = true
    try {
      const whole = await askSample(sample.id)
      texts.classList.add('whole')
      fill(texts, ...textsOf(whole))
      texts.querySelector('pre')?.focus()
      more.remove()
    } catch (error) {
      more.disabled = false
      more.after(
        make('span', { class: 'problem', role: 'alert' }, ` ${/** @type {Error} */ (error).message}`),
      )
    }
  })
  return make(
    'article',
    {
      class: 'sample',
      'data-id': sample.id,
      'data-state': stateOf(sample),
      'aria-label': `Sample ${sample.id}`,
    },
    make(
      'p',
      { class: 'about' },
      make('span', { class: `verdict ${sample.verdict}` }, sample.verdict),
      make('strong', {}, make('bdi', {}, sample.experiment), ', ', make('bdi', {}, sample.arm)),
      make('span', { class: 'faint' }, moment(sample.requested_at)),
      make('bdi', { class: 'faint' }, ...plain(sample.model)),
      make('code', { class: 'faint' }, sample.id),
    ),
    make('ul', { class: 'scores', 'aria-label': 'Scores' }, ...sample.scores.map(scoreOf)),
    sample.labels.length > 0 &&
      make(
        'p',
        { class: 'faint' },
        `People: ${sample.labels.map(({ by, verdict }) => `${verdict} (${by})`).join(', ')}`,
      ),
    sample.extra !== null &&
      make(
        'p',
        { class: 'faint' },
        'Kept because its text is like the training context, not drawn; in no rate.',
      ),
    make('p', { class: 'faint' }, sample.injection),
    texts,
    more,
  )
}

/** @param {ShownSample['scores'][number]} score */
function scoreOf({ rubric, kind, value, by }) {
  const shown = (/** @type {string} */ kind, /** @type {string | number} */ value) =>
    typeof value === 'number'
      ? String(Number(value.toFixed(1)))
      : kind === 'label'
        ? value
        : `${kind}${value === '' ? '' : `: ${value}`}`
  return make(
    'li',
    {},
    make('span', { class: 'faint' }, `${rubric} `),
    make('bdi', {}, ...plain(shown(kind, value))),
    by.length > 0 &&
      make(
        'span',
        { class: 'faint' },
        ` (${by.map((it) => `${it.model} ${shown(it.kind, it.value)}`).join(', ')})`,
      ),
  )
}

/** @param {ShownSample} sample */
function textsOf({ texts, without_texts: without, id }) {
  if (texts === null) {
    const why =
      without === 'erased' ? 'Its texts were erased.' : 'Texts are not shown: samples.keep is verdicts.'
    return [make('p', { class: 'faint' }, why)]
  }
  const { messages, messages_left_out: leftOut, answer, answer_cut: answerCut } = texts
  return [
    leftOut > 0 &&
      make(
        'p',
        { class: 'faint' },
        `${counted(leftOut, 'earlier message is', 'earlier messages are')} left out here.`,
      ),
    ...messages.flatMap(({ role, pieces, cut }, index) => [
      make('h5', { dir: 'auto' }, role),
      block(`Message ${index + 1} of sample ${id}, by ${role}`, pieces.map(pieceOf), cut),
    ]),
    make('h5', {}, 'answer'),
    block(`Answer of sample ${id}`, [make('span', {}, ...plain(answer))], answerCut),
  ]
}

/** @param {Texts['messages'][number]['pieces'][number]} piece */
function pieceOf({ text, injected }) {
  if (injected === null) return make('span', {}, ...plain(text))
  return make('mark', {}, make('span', { class: 'tag' }, `injected, ${injected}`), ...plain(text))
}

/**
 * A text that can be scrolled, by keyboard too.
 * @param {string} label
 * @param {readonly Node[]} nodes
 * @param {number} cut characters left out.
 */
function block(label, nodes, cut) {
  return make(
    'pre',
    { tabindex: 0, role: 'group', 'aria-label': label, dir: 'auto' },
    ...nodes,
    cut > 0 && make('span', { class: 'faint' }, ` … ${whole(cut)} more characters`),
  )
}

/** @param {Texts} texts */
function isCut({ messages, messages_left_out: leftOut, answer_cut: answerCut }) {
  return leftOut > 0 || answerCut > 0 || messages.some(({ cut }) => cut > 0)
}
