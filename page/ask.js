/** Asks `/api`. Whatever goes wrong is a `Refused`, with words for people. */

/** @typedef {import('../src/http/api/api.ts').ShownStatus} ShownStatus */
/** @typedef {import('../src/http/api/api.ts').ShownExperiment} ShownExperiment */
/** @typedef {import('../src/http/api/api.ts').ShownConfig} ShownConfig */
/** @typedef {import('../src/http/api/api.ts').ShownSample} ShownSample */
/** @typedef {import('../src/http/api/api.ts').SamplePage} SamplePage */
/** @typedef {NonNullable<ShownExperiment['report']>} Report */

const PATIENCE_MS = 15_000

export class Refused extends Error {}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function ask(path, options = {}) {
  let response
  try {
    response = await fetch(`/api${path}`, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) })
  } catch {
    throw new Refused('ballast does not answer.')
  }
  if (response.status === 401)
    throw new Refused('The token is not valid any more: reload the page and sign in again.')
  const told = await response.json().catch(() => null)
  if (response.ok && told !== null) return told
  throw new Refused(told?.error?.message ?? `ballast answered with ${response.status}.`)
}

/** @returns {Promise<ShownStatus>} */
export const askStatus = () => ask('/status')

/** @returns {Promise<readonly Report[]>} */
export const askReports = () => ask('/experiments')

/**
 * @param {string} name
 * @returns {Promise<ShownExperiment>}
 */
export const askExperiment = (name) => ask(`/experiments/${encodeURIComponent(name)}`)

/** @returns {Promise<ShownConfig>} */
export const askConfig = () => ask('/config')

/**
 * @param {Readonly<Record<string, string>>} query what is empty is left out.
 * @returns {Promise<SamplePage>}
 */
export function askSamples(query) {
  const given = Object.entries(query).filter(([, value]) => value !== '')
  return ask(`/samples?${new URLSearchParams(given)}`)
}

/**
 * @param {string} id
 * @returns {Promise<ShownSample>}
 */
export const askSample = (id) => ask(`/samples/${encodeURIComponent(id)}`)

/**
 * @param {string} experiment
 * @param {string} arm
 * @param {{ readonly action: string, readonly reason: string, readonly who: string }} command
 */
export function actOnArm(experiment, arm, command) {
  return ask(`/experiments/${encodeURIComponent(experiment)}/arms/${encodeURIComponent(arm)}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(command),
  })
}
