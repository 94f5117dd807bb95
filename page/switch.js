/** The dialog that asks who does something to an arm, and why, before it is done. */
import { actOnArm } from './ask.js'
import { byId } from './elements.js'

/** @type {Readonly<Record<string, readonly [title: string, effect: string, button: string]>>} */
const WORDS = {
  off: [
    'Switch off',
    'From about a second on, nothing is injected for its units, on every replica, and they are not counted.',
    'Switch it off',
  ],
  on: [
    'Switch on again',
    'It does again what the configuration says. Evidence about the experiment begins anew.',
    'Switch it on',
  ],
  promote: [
    'Promote',
    'The units of all arms get its policy, on every replica, and none is counted any more.',
    'Promote it',
  ],
}
const NAME_KEY = 'ballast-who'

/** A browser may have been told to keep nothing; then it is asked for again. */
function rememberedName() {
  try {
    return localStorage.getItem(NAME_KEY) ?? ''
  } catch {
    return ''
  }
}

/** @param {string} name */
function rememberName(name) {
  try {
    localStorage.setItem(NAME_KEY, name)
  } catch {
    // As above.
  }
}

/** @typedef {(experiment: string, arm: string) => Promise<void>} Done */

export class Switch {
  /** @param {Done} done called when it is done. */
  constructor(done) {
    this.done = done
    this.dialog = /** @type {HTMLDialogElement} */ (byId('switch'))
    this.form = /** @type {HTMLFormElement} */ (byId('switch-form'))
    this.button = /** @type {HTMLButtonElement} */ (byId('switch-do'))
    /** @type {{ experiment: string, arm: string, action: string } | null} */
    this.asked = null
    byId('switch-cancel').addEventListener('click', () => this.dialog.close())
    this.form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.act()
    })
  }

  /**
   * @param {string} experiment
   * @param {string} arm
   * @param {string} action
   */
  open(experiment, arm, action) {
    this.asked = { experiment, arm, action }
    const [title, effect, button] = WORDS[action] ?? [action, '', action]
    byId('switch-title').textContent = `${title}: ${arm} of ${experiment}`
    byId('switch-effect').textContent = effect
    this.button.textContent = button
    this.button.className = action === 'off' ? 'danger' : 'primary'
    this.tell('')
    this.field('reason').value = ''
    this.field('who').value = rememberedName()
    this.dialog.showModal()
    this.field(this.field('who').value === '' ? 'who' : 'reason').focus()
  }

  async act() {
    const { asked } = this
    const [who, reason] = [this.field('who').value.trim(), this.field('reason').value.trim()]
    if (asked === null || this.button.disabled) return
    if (who === '' || reason === '') {
      this.tell('Say who you are, and why: whoever looks at the numbers later is told.')
      this.field(who === '' ? 'who' : 'reason').focus()
      return
    }
    this.button.disabled = true
    try {
      await actOnArm(asked.experiment, asked.arm, { action: asked.action, reason, who })
      rememberName(who)
      this.dialog.close()
      await this.done(asked.experiment, asked.arm)
    } catch (error) {
      this.tell(/** @type {Error} */ (error).message)
    } finally {
      this.button.disabled = false
    }
  }

  /** @param {string} problem */
  tell(problem) {
    byId('switch-problem').textContent = problem
  }

  /** @param {string} name */
  field(name) {
    return /** @type {HTMLInputElement | HTMLTextAreaElement} */ (this.form.elements.namedItem(name))
  }
}
