/** Draws samples for people at a terminal, and as data for programs. All texts in them are untrusted. */

import { contentText } from '../domain/sample.ts'
import type { StoredSample } from '../domain/store.ts'
import { type PlainScore, type Score, type Scores, withoutTexts } from '../domain/verdict.ts'
import { bold, dim, labelled, oneLine, printable, rounded, table, wrap } from './text.ts'

/** A sample as JSON; without `text`, nothing that client, model or judge wrote. */
export function sampleAsJson({ sample, erased, verdict, labels }: StoredSample, text = true) {
  const scores = verdict?.scores ?? null
  return {
    id: sample.id,
    requested_at: new Date(sample.requestedAt).toISOString(),
    experiment: sample.experiment,
    arm: sample.arm,
    policy: sample.policy,
    policy_hash: sample.policyHash,
    check: sample.check,
    check_version: verdict?.checkVersion ?? sample.checkVersion,
    probability: sample.probability,
    extra: sample.extra ?? null,
    model: sample.model,
    unit: sample.unit,
    assignment: sample.assignment,
    verdict: verdict?.verdict ?? null,
    judged_at: verdict === null ? null : new Date(verdict.judgedAt).toISOString(),
    scores: scores === null || text ? scores : withoutTexts(scores),
    labels: labels.map(({ check, checkVersion, by, verdict, probability, at }) => ({
      check,
      check_version: checkVersion,
      by,
      verdict,
      probability,
      at: new Date(at).toISOString(),
    })),
    erased,
    ...(text && { messages: sample.messages, question: sample.question, answer: sample.answer }),
  }
}

const NARROWEST_QUESTION = 20
const LONGEST_CELL = 40

/** A line a sample. */
export function drawSamples(samples: readonly StoredSample[], columns: number): string {
  const rows = samples.map(({ sample, verdict, labels }) => [
    sample.id,
    timeOf(sample.requestedAt),
    oneLine(sample.experiment, LONGEST_CELL),
    oneLine(sample.arm, LONGEST_CELL),
    `${verdict?.verdict ?? 'waiting'}${labels.length === 0 ? '' : ` (people: ${[...new Set(labels.map((it) => it.verdict))].join(', ')})`}`,
    oneLine(
      Object.values(verdict?.scores ?? {})
        .map(scoreShortly)
        .join(' '),
      LONGEST_CELL,
    ),
  ])
  const heading = ['id', 'time', 'experiment', 'arm', 'verdict', 'scores']
  const lines = table([heading, ...rows], columns)
    .trimEnd()
    .split('\n')
  const width = Math.max(...lines.map((line) => line.length))
  const room = Math.max(NARROWEST_QUESTION, columns - width - 2)
  const questions = ['question', ...samples.map(questionShortly(room))]
  return lines
    .map((line, index) => `${line.padEnd(width)}  ${questions[index]}`.trimEnd().concat('\n'))
    .join('')
}

function questionShortly(room: number) {
  return ({ sample, erased }: StoredSample) => (erased ? '(erased)' : oneLine(sample.question, room))
}

function timeOf(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace('T', ' ')
}

function scoreShortly(score: PlainScore): string {
  if (score.kind === 'number') return String(Number(score.value.toFixed(1)))
  return score.kind === 'label' ? score.value : score.kind
}

const ROOM = 12

/** Everything about a sample, for reading. */
export function drawSample(
  { sample, erased, attempts, verdict, labels }: StoredSample,
  columns: number,
): string {
  const line = (label: string, text: string) => `${labelled(label, printable(text), columns, ROOM)}\n`
  const policy =
    sample.policy === null ? 'nothing was injected' : `policy ${sample.policy} (${sample.policyHash})`
  return [
    `${bold(printable(sample.id))}\n`,
    line(
      'requested',
      `${new Date(sample.requestedAt).toISOString()}, model ${sample.model}, unit ${sample.unit}`,
    ),
    line('experiment', `${sample.experiment}, arm ${sample.arm}: ${policy}`),
    line(
      'sampled',
      sample.extra === 'trigger'
        ? 'not drawn: kept because its text is like the training context; in no rate'
        : `with probability ${rounded(sample.probability)}`,
    ),
    line('check', `${sample.check}, version ${verdict?.checkVersion ?? sample.checkVersion}`),
    line(
      'verdict',
      verdict === null
        ? `none yet: it waits${attempts === 0 ? '' : `, tried ${attempts} times`}`
        : `${verdict.verdict}, judged ${new Date(verdict.judgedAt).toISOString()}`,
    ),
    ...drawScores(verdict?.scores ?? {}).map((text) => `${wrap(printable(text), columns, ROOM)}\n`),
    ...labels.map(({ by, verdict, at }, index) =>
      line(index === 0 ? 'labels' : '', `${verdict} by ${by}, ${new Date(at).toISOString()}`),
    ),
    erased ? `\n${dim('Its texts were erased.')}\n` : drawTexts(sample, columns),
  ].join('')
}

function drawScores(scores: Scores): string[] {
  return Object.entries(scores).flatMap(([rubric, score]) => [
    `${rubric}: ${scoreInWords(score)}`,
    ...(score.parts ?? []).map(({ model, score }) => `  ${model}: ${scoreInWords(score)}`),
  ])
}

function scoreInWords(score: Score | PlainScore): string {
  if (score.kind === 'label') return score.value
  if (score.kind === 'unparsed') return `unparsed: ${JSON.stringify(score.text)}`
  if (score.kind === 'error') return `error: ${score.message}`
  return `${rounded(score.value)}${score.mass === undefined ? '' : ` (mean over ${rounded(score.mass)} of the probability)`}`
}

/** The conversation and the answer, wrapped. */
export function drawTexts(
  { messages, answer }: Pick<StoredSample['sample'], 'messages' | 'answer'>,
  columns: number,
): string {
  const text = (it: string) => `${wrap(printable(it), columns, 2)}\n`
  const parts = messages.map(({ role, content, ...rest }) => {
    const { tool_calls: calls } = rest
    const said = [contentText(content), ...(calls === undefined ? [] : [JSON.stringify(calls)])]
      .join('\n')
      .trim()
    return `\n${bold(oneLine(typeof role === 'string' ? role : 'message', LONGEST_CELL))}\n${text(said)}`
  })
  return `${parts.join('')}\n${bold('answer')}\n${text(answer)}`
}
