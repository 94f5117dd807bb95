/** Numbers and moments in words. */

/** @param {number | null} value */
export function rate(value) {
  if (value === null) return '–'
  const percent = value * 100
  return `${percent.toFixed(percent > 0 && percent < 1 ? 2 : 1)}%`
}

/** @param {{ readonly lower: number, readonly upper: number }} bounds */
export function bounds({ lower, upper }) {
  return `${rate(lower)} to ${rate(upper)}`
}

/**
 * Percentage points, with a sign.
 * @param {number | null} value
 */
export function points(value) {
  if (value === null) return '–'
  const text = (value * 100).toFixed(1)
  return value > 0 && text !== '0.0' ? `+${text}` : text.replace('-', '−').replace('−0.0', '0.0')
}

/** @param {{ readonly lower: number, readonly upper: number }} bounds */
export function pointBounds({ lower, upper }) {
  return `${points(lower)} to ${points(upper)}`
}

/** @param {number} value */
export function whole(value) {
  return value.toLocaleString('en')
}

/** @param {string} iso */
export function moment(iso) {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} several
 */
export function counted(count, one, several) {
  return `${whole(count)} ${count === 1 ? one : several}`
}

/** @typedef {import('../src/http/api/api.ts').ShownExperiment} ShownExperiment */

/** @param {ShownExperiment['arms'][number]['state']} state */
export function stateInWords({ state, by, since }) {
  if (state === 'on') return by === null ? '' : `on again${since === null ? '' : ` since ${moment(since)}`}`
  const what =
    state === 'off' ? 'off: nothing is injected for its units' : 'promoted: all units get its policy'
  const who = by === 'person' ? 'a person' : by === 'config' ? 'the configuration' : `the rule ${by}`
  return `${what}${since === null ? '' : `, since ${moment(since)}`}, by ${who}`
}

/** @param {ShownExperiment['history'][number]} event */
export function eventInWords({ arm, action, by, reason }) {
  return `${arm} ${action === 'promoted' ? 'promoted' : `switched ${action}`} by ${by === 'person' ? 'a person' : `the rule ${by}`}: ${reason}`
}
