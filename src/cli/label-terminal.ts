/** Shows samples one at a time and asks for labels, without saying which arm they are of or what the judge said. */
import { stripVTControlCharacters } from 'node:util'
import type { Check } from '../domain/check.ts'
import type { Label, StoredSample } from '../domain/store.ts'
import { askKey } from './ask.ts'
import { drawTexts } from './samples-text.ts'
import { bold, columnsOf, dim, printable, wrap } from './text.ts'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream & { readonly rows?: number; readonly columns?: number }
}

/** What is to be labelled, in order; `null` where it is gone. */
export interface LabelTask {
  readonly check: Check
  readonly ids: readonly string[]
  /** Labelled before, of `total`. */
  readonly done: number
  readonly total: number
  load(id: string): Promise<StoredSample | null>
  save(id: string, verdict: Label['verdict']): Promise<void>
  /** Takes a label back. */
  undo(id: string): Promise<void>
}

const VERDICT_OF = { p: 'positive', n: 'negative', x: 'excluded' } as const
const KEYS = ['p', 'n', 'x', 's', 'u', 'q', 'space', 'enter']
const USUAL_ROWS = 24
/** Beside a page: what is asked below it, and the line before. */
const BESIDE_PAGE = 3

/** Resolves when all are gone through, or the person leaves. */
export async function labelAtTerminal(task: LabelTask, { input, output }: Terminal): Promise<void> {
  const columns = columnsOf(output)
  output.write(introduction(task.check, columns))
  /** Those gone through, in order, with whether one was labelled; for undoing. */
  const past: { index: number; labelled: boolean }[] = []
  for (let index = 0; index < task.ids.length; ) {
    const found = await task.load(task.ids[index]!)
    if (found === null || found.erased) {
      index++
      continue
    }
    const labelled = past.filter((it) => it.labelled).length
    output.write(`\n${dim('─'.repeat(columns))}\n${task.done + labelled + 1} of ${task.total}\n`)
    const key = await showAndAsk(drawTexts(found.sample, columns), task.check, { input, output })
    if (key === 'q') break
    if (key === 'u') {
      const last = past.pop()
      if (last === undefined) output.write('There is nothing to take back.\n')
      else {
        index = last.index
        if (last.labelled) await task.undo(task.ids[index]!)
      }
      continue
    }
    const verdict = key === 's' ? null : VERDICT_OF[key as keyof typeof VERDICT_OF]
    if (verdict !== null) await task.save(found.sample.id, verdict)
    past.push({ index, labelled: verdict !== null })
    index++
  }
}

function introduction({ id, description, rubrics }: Check, columns: number): string {
  const scales = rubrics.map(({ id: rubric, scale, labels }) => {
    const replies = [...(scale === undefined ? [] : [`${scale[0]} to ${scale[1]}`]), ...(labels ?? [])]
    return `${wrap(printable(`${rubric}: ${replies.join(', ')}`), columns, 2)}\n`
  })
  return [
    `${bold(`Check ${id}`)}\n${wrap(printable(description), columns)}\n`,
    `\nThe judge is asked for:\n${scales.join('')}`,
    `\n${wrap('p: positive, the trait is there. n: negative. x: excluded, counts neither way. s: skip. u: back to the one before. q: leave.', columns)}\n`,
  ].join('')
}

/** Shows a text page by page; an answer may be given at any page. */
async function showAndAsk(text: string, check: Check, terminal: Terminal): Promise<string> {
  const { output } = terminal
  const lines = text.trimEnd().split('\n')
  const page = Math.max(5, (output.rows || USUAL_ROWS) - BESIDE_PAGE)
  for (let start = 0; ; start += page) {
    output.write(`${lines.slice(start, start + page).join('\n')}\n`)
    const rest = lines.length - start - page
    const more = rest > 0 ? `, space: ${rest} more lines` : ''
    const message = `${stripVTControlCharacters(check.id)}? (p/n/x, s, u, q${more})`
    const keys = rest > 0 ? KEYS : KEYS.slice(0, 6)
    const key = await askKey(message, keys, terminal)
    if (key !== 'space' && key !== 'enter') return key
  }
}
