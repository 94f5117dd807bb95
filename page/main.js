/** The page's own clockwork: asks for what may have changed, while somebody looks. */
import { askReports, askStatus } from './ask.js'
import { showBanner, showSilence } from './banner.js'
import { byId } from './elements.js'
import { Experiments } from './experiments.js'
import { Configuration, showHealth } from './health.js'
import { Samples } from './samples.js'
import { Switch } from './switch.js'
import { moment } from './words.js'

const EVERY_MS = 2_000
/** Answers are asked for every so many rounds. */
const SAMPLES_EVERY = 2

const switcher = new Switch((experiment, arm) => experiments.refresh(experiment, arm))
const experiments = new Experiments((experiment, arm, action) => switcher.open(experiment, arm, action))
const samples = new Samples()
const configuration = new Configuration()
let round = 0

async function look() {
  try {
    const [status, reports] = await Promise.all([askStatus(), askReports()])
    showBanner(status)
    showHealth(status)
    experiments.update(status.experiments, reports)
    samples.offer(reports)
    if (round % SAMPLES_EVERY === 0) await samples.update()
    await experiments.readOn()
    await configuration.update(status.config)
    byId('updated').textContent = `Configuration ${status.config.hash}. Updated ${moment(status.at)}.`
    round++
  } catch (error) {
    showSilence(/** @type {Error} */ (error).message)
  }
}

async function keepLooking() {
  for (;;) {
    // A page that nobody sees asks for nothing.
    if (document.visibilityState === 'visible') await look()
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
}

void keepLooking()
