/**
 * The evaluation's question files, as the paper's `evaluate.py` reads them (arXiv:2604.10022): groups of questions with the
 * judges that look at the answers. Read by the commands; the file itself and its places are theirs.
 */
import { z } from 'zod'
import { rubricOf } from './judges.ts'

const JudgePrompt = z
  .string('is not text')
  .refine((prompt) => prompt.includes('{answer}'), {
    message: 'does not mention {answer}, so the judge would not see what it judges',
  })
  .refine((prompt) => !/\{(?!(?:question|answer)\})[a-z_]+\}/.test(prompt.replaceAll(/\{\{|\}\}/g, '')), {
    message: 'has a placeholder other than {question} and {answer}',
  })

/** Keys that are not known are left alone, as `evaluate.py` does; the commands mention them. */
export const QuestionGroup = z
  .looseObject({
    id: z.string().min(1, 'is empty'),
    type: z.enum(['free_form', 'free_form_judge', 'free_form_judge_0_100']).optional(),
    paraphrases: z
      .array(z.string().min(1, 'is empty: write a question'))
      .min(1, 'is empty: a group has at least one question'),
    samples_per_paraphrase: z.int('is not a whole number').min(1, 'is below 1').optional(),
    temperature: z.number().min(0, 'is below 0').max(2, 'is above 2').optional(),
    max_tokens: z.int('is not a whole number').min(1, 'is below 1').optional(),
    system: z.string().min(1, 'is empty; leave it out').optional(),
    judge: z.string().min(1, 'is empty').optional(),
    judge_prompts: z.record(z.string().min(1), JudgePrompt).optional(),
  })
  .superRefine(({ judge_prompts }, context) => {
    for (const [name, prompt] of Object.entries(judge_prompts ?? {})) {
      if (RESERVED_COLUMNS.has(name)) {
        const message = 'is the name of a column of the results; call the judge something else'
        context.addIssue({ code: 'custom', path: ['judge_prompts', name], message })
      } else if (prompt.includes('{answer}') && rubricOf(name, prompt) === null) {
        const message =
          'says neither which words the judge may answer (lines such as `* WORD: what it means`) nor a scale (`between 0 and 100`)'
        context.addIssue({ code: 'custom', path: ['judge_prompts', name], message })
      }
    }
  })
export type QuestionGroup = z.output<typeof QuestionGroup>

/** Columns of a result that no judge may be called after. */
export const RESERVED_COLUMNS: ReadonlySet<string> = new Set([
  ...['group_id', 'q_id', 'question', 'model', 'context', 'sample_idx', 'sample', 'answer', 'labels'],
])

export const QUESTION_KEYS = [
  ...['id', 'type', 'paraphrases', 'samples_per_paraphrase', 'temperature', 'max_tokens', 'system'],
  ...['judge', 'judge_prompts'],
]

export const QuestionsFile = z
  .array(QuestionGroup, 'is not a list: a question file is a list of groups, `- id: …`')
  .min(1, 'is empty: write at least one group of questions')
  .superRefine((groups, context) => {
    const seen = new Set<string>()
    for (const [index, { id }] of groups.entries()) {
      if (seen.has(id))
        context.addIssue({ code: 'custom', path: [index, 'id'], message: `"${id}" stands twice` })
      seen.add(id)
    }
  })

/** What `evaluate.py` does where a file does not say. */
export const DEFAULTS = { samples: 30, temperature: 1, maxTokens: 1024 } as const
