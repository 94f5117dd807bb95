/** Reads the question files that a command names. */
import { didYouMean } from '../config/near.ts'
import { formatProblem, type Problem } from '../config/problem.ts'
import { readText } from '../config/read.ts'
import { YamlSource } from '../config/source.ts'
import { QUESTION_KEYS, type QuestionGroup, QuestionsFile } from '../eval/questions.ts'
import { fromHere, UsageError } from './usage.ts'

export interface ReadQuestions {
  readonly groups: readonly QuestionGroup[]
  /** What is in the files and is not asked. */
  readonly warnings: readonly string[]
}

/**
 * The groups, and of their judges those, that are to be asked.
 * @throws UsageError where there is none of a name.
 */
export function selectQuestions(
  groups: readonly QuestionGroup[],
  ids: readonly string[] | undefined,
  judges: readonly string[] | undefined,
): QuestionGroup[] {
  const chosen = ids === undefined ? [...groups] : groups.filter(({ id }) => ids.includes(id))
  const names = groups.map(({ id }) => id)
  for (const id of ids ?? []) {
    if (!names.includes(id)) throw new UsageError(`--group ${id}: there are ${names.join(', ')}.`)
  }
  if (judges === undefined) return chosen
  const there = new Set(chosen.flatMap(({ judge_prompts }) => Object.keys(judge_prompts ?? {})))
  for (const name of judges) {
    if (!there.has(name)) throw new UsageError(`--judge ${name}: there are ${[...there].join(', ')}.`)
  }
  return chosen.map((group) => ({
    ...group,
    judge_prompts: Object.fromEntries(
      Object.entries(group.judge_prompts ?? {}).filter(([name]) => judges.includes(name)),
    ),
  }))
}

/** @throws UsageError with every problem of every file, with file, line and column. */
export function readQuestions(files: readonly string[]): ReadQuestions {
  const groups = new Map<string, QuestionGroup>()
  const problems: Problem[] = []
  const warnings: string[] = []
  for (const file of files) {
    const text = readText(fromHere(file), file)
    if (typeof text !== 'string') {
      problems.push(text)
      continue
    }
    const source = new YamlSource(file, text)
    const read = source.check(QuestionsFile)
    for (const [index, group] of (read ?? []).entries()) {
      // Files of several data sets name their groups alike.
      const id = groups.has(group.id) ? `${group.id} (${file})` : group.id
      groups.set(id, { ...group, id })
      for (const key of Object.keys(group).filter((it) => !QUESTION_KEYS.includes(it))) {
        const message = `"${key}" is not asked for, and left alone${didYouMean(key, QUESTION_KEYS)}`
        warnings.push(formatProblem({ ...source.place([index, key]), message }))
      }
    }
    problems.push(...source.problems)
  }
  if (problems.length > 0) throw new UsageError(problems.map(formatProblem).join('\n'))
  return { groups: [...groups.values()], warnings }
}
