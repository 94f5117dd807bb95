/** How judging and the upstreams are doing, and which configuration runs. */
import { askConfig } from './ask.js'
import { byId, fill, make, pairs } from './elements.js'
import { counted, duration, moment, whole } from './words.js'

/** @typedef {import('./ask.js').ShownStatus} ShownStatus */
/** @typedef {import('./ask.js').ShownConfig} ShownConfig */
/** @typedef {NonNullable<ShownStatus['judging']>} Judging */

const WHERE = {
  here: 'in this process',
  elsewhere: 'by ballast judge, elsewhere',
  nowhere: 'nowhere: no judge is configured',
}
/** @type {Readonly<Record<Judging['models'][number]['state'], string>>} */
const MODEL = {
  asked: 'answers',
  probed: 'is failing, and tried again now',
  'left-alone': 'is failing, and left alone for a while',
  'no-budget': 'its budget is used up',
}
const BREAKER = {
  closed: 'closed: it is used',
  open: 'open: it is left alone',
  'half-open': 'half-open: one request tries it',
}

/** @param {ShownStatus} status */
export function showHealth({ judging, upstreams, trouble, at }) {
  const now = Date.parse(at)
  fill(
    byId('judging'),
    ...(judging === null
      ? [make('p', { class: 'notice bad' }, trouble ?? 'It does not answer.')]
      : judgingParts(judging, now)),
  )
  fill(
    byId('upstreams'),
    make(
      'ul',
      { class: 'states' },
      ...upstreams.map(({ upstream, breaker, failures, retry_in_ms: retryIn, fallback }) =>
        make(
          'li',
          { class: breaker === 'closed' ? 'good' : 'bad' },
          make('strong', {}, upstream),
          ` breaker ${BREAKER[breaker]}`,
          breaker === 'open' && `, tried again in ${duration(retryIn)}`,
          failures > 0 &&
            make('span', { class: 'faint' }, ` ${counted(failures, 'failure', 'failures')} in a row.`),
          fallback.length > 0 && make('span', { class: 'faint' }, ` Falls back to ${fallback.join(', ')}.`),
        ),
      ),
    ),
  )
}

/**
 * @param {Judging} judging
 * @param {number} now
 */
function judgingParts({ where, queue, models }, now) {
  return [
    pairs([
      ['judged', WHERE[where]],
      ['waiting', `${whole(queue.depth)}${queue.limit === null ? '' : ` of ${whole(queue.limit)}`}`],
      ['oldest waits for', queue.oldest_at === null ? '–' : duration(now - Date.parse(queue.oldest_at))],
    ]),
    make(
      'ul',
      { class: 'states' },
      ...models.map(({ model, upstream, state, failing_since: since, reason }) =>
        make(
          'li',
          { class: since !== null ? 'bad' : state === 'asked' ? 'good' : 'worn' },
          make('strong', {}, model),
          ` at ${upstream} ${MODEL[state]}`,
          since !== null && `, since ${moment(since)}`,
          reason !== null && make('bdi', { class: 'faint' }, `: ${reason}`),
        ),
      ),
    ),
  ]
}

export class Configuration {
  constructor() {
    this.details = /** @type {HTMLDetailsElement} */ (byId('config-values'))
    this.shown = ''
    /** @type {ShownStatus['config'] | null} */
    this.state = null
    this.details.addEventListener('toggle', () => void this.update(this.state).catch(() => {}))
  }

  /** @param {ShownStatus['config'] | null} state */
  async update(state) {
    this.state = state
    if (state === null) return
    const key = JSON.stringify(state)
    if (this.shown === key) return
    this.shown = key
    const config = await askConfig()
    fill(byId('config-state'), ...stateParts(config))
    const text = JSON.stringify(config.values, null, 2)
    fill(
      byId('config-text'),
      make(
        'p',
        { class: 'faint' },
        'With defaults, durations in milliseconds, sizes in bytes, secrets hidden.',
      ),
      make('pre', { tabindex: 0, role: 'group', 'aria-label': 'The running configuration' }, text),
    )
  }
}

/** @param {ShownConfig} config */
function stateParts({ hash, since, changes }) {
  return [
    pairs([
      ['hash', make('code', {}, hash)],
      ['in force since', moment(since)],
    ]),
    changes.length === 0
      ? make('p', { class: 'faint' }, 'Not reloaded since ballast started.')
      : make('ul', {}, ...changes.map(changeOf)),
  ]
}

/** @param {ShownConfig['changes'][number]} change */
function changeOf({ at, outcome, hash, changes, problems }) {
  if (outcome === 'failed') {
    return make(
      'li',
      { class: 'problem' },
      `${moment(at)}: refused, the one before stays`,
      make('ul', {}, ...problems.map((it) => make('li', {}, it))),
    )
  }
  const told = Object.entries(changes).flatMap(([kind, its]) =>
    Object.entries(its).map(
      ([what, names]) => `${kind} ${what}${Array.isArray(names) ? `: ${names.join(', ')}` : ''}`,
    ),
  )
  return make('li', {}, `${moment(at)}: `, make('code', {}, hash), ` ${told.join('; ')}`)
}
