/** What somebody must know before they read a number: in plain words, on top of the page. */
import { byId, fill, make } from './elements.js'
import { counted, duration, moment } from './words.js'

/** @typedef {import('./ask.js').ShownStatus} ShownStatus */

/** Where others judge, a sample that waits so long tells that none of them does. */
const STALLED_MS = 300_000

/** @param {ShownStatus} status */
export function showBanner(status) {
  fill(
    byId('banner'),
    ...troubles(status).map(([text, kind]) => make('p', { class: `notice ${kind}` }, text)),
  )
}

/** @param {string} problem */
export function showSilence(problem) {
  fill(byId('banner'), make('p', { class: 'notice bad' }, `${problem} What you see below is old.`))
}

/**
 * @param {ShownStatus} status
 * @returns {[string, 'bad' | 'worn'][]}
 */
function troubles({ at, judging, trouble, upstreams, config, draining }) {
  /** @type {[string, 'bad' | 'worn'][]} */
  const told = []
  if (draining) told.push(['This ballast is being shut down.', 'worn'])
  if (trouble !== null) told.push([trouble, 'bad'])
  if (judging !== null) told.push(...judgingTroubles(judging, Date.parse(at)))
  for (const { upstream, breaker } of upstreams) {
    if (breaker !== 'closed')
      told.push([
        `The upstream ${upstream} keeps failing and is ${breaker === 'open' ? 'left alone for a while' : 'tried with one request'}.`,
        'bad',
      ])
  }
  if (config.failed_at !== null) {
    told.push([
      `A changed configuration was refused at ${moment(config.failed_at)}; the one from ${moment(config.since)} stays.`,
      'bad',
    ])
  }
  return told
}

/**
 * @param {NonNullable<ShownStatus['judging']>} judging
 * @param {number} now
 * @returns {[string, 'bad' | 'worn'][]}
 */
function judgingTroubles({ where, down, queue, models }, now) {
  const waiting = counted(queue.depth, 'answer waits', 'answers wait')
  const age = queue.oldest_at === null ? 0 : now - Date.parse(queue.oldest_at)
  if (down) {
    const failing = models.filter(({ failing_since: since }) => since !== null)
    const names = failing.map(
      ({ model, failing_since: since }) => `${model} has been failing since ${moment(since ?? '')}`,
    )
    return [
      [
        `The judge is down: ${names.join('; ')}. ${waiting} to be judged, and the rates below stand still.`,
        'bad',
      ],
    ]
  }
  if (where === 'nowhere' && queue.depth > 0)
    return [[`No judge is configured: ${waiting} to be judged.`, 'bad']]
  if (where === 'elsewhere' && age > STALLED_MS) {
    return [
      [`Nobody seems to judge: ${waiting}, the oldest for ${duration(age)}. Does ballast judge run?`, 'bad'],
    ]
  }
  const spent = models.filter(({ state }) => state === 'no-budget')
  if (spent.length > 0 && queue.depth > 0) {
    return [
      [`The judge's budget is used up (${spent.map(({ model }) => model).join(', ')}): ${waiting}.`, 'worn'],
    ]
  }
  return []
}
