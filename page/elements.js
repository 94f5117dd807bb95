/** Makes and changes elements. Text becomes text nodes alone, so that nothing in it can be markup. */

/** @typedef {Node | string | null | false | undefined} Child */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Readonly<Record<string, string | boolean | number>>} [attributes] true: without a value; false: left out.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...present(children))
  return element
}

/**
 * @param {readonly Child[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  return children.filter((it) => it !== null && it !== false && it !== undefined)
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no #${id}`)
  return element
}

/**
 * Puts children in the place of others, unless they look the same: then what has the focus or is selected stays so.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  const next = make('div', {}, ...children)
  if (next.isEqualNode(shallow(parent))) return
  parent.replaceChildren(...next.childNodes)
}

/** @param {Element} parent */
function shallow(parent) {
  const copy = make('div')
  copy.append(...[...parent.childNodes].map((it) => it.cloneNode(true)))
  return copy
}

/**
 * A list of names and values.
 * @param {readonly (readonly [string, Child])[]} entries
 */
export function pairs(entries) {
  return make(
    'dl',
    {},
    ...entries.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))),
  )
}

/** Characters that no eye sees, or that turn the direction of what follows; not those that right-to-left text needs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const HIDDEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069])\1*/g
/** More of them are shown by one sign each: an answer may be made of nothing else. */
const MOST_NAMED = 100

/**
 * Untrusted text as nodes, with hidden characters named.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function plain(text) {
  /** @type {(Node | string)[]} */
  const nodes = []
  let from = 0
  for (const { 0: found, 1: character, index } of text.matchAll(HIDDEN)) {
    if (nodes.length > 2 * MOST_NAMED) break
    nodes.push(text.slice(from, index))
    from = index + found.length
    const code = (character ?? '').codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')
    const times = found.length === 1 ? '' : ` ×${found.length}`
    nodes.push(make('span', { class: 'hidden-character' }, `U+${code}${times}`))
  }
  nodes.push(text.slice(from).replace(HIDDEN, '\u{FFFD}'))
  return nodes
}
