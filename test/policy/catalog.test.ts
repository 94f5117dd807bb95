/** The shipped catalog: every context of the paper, as the paper has it, and what its README says of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readCatalog } from '../../src/config/catalog.ts'
import { CheckFile } from '../../src/domain/check.ts'
import { type Policy, PolicyFile } from '../../src/domain/policy.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { describeWith, shared } from '../support/requires.ts'

const PAPER = 'arXiv:2604.10022'
const { policies, checks, problems } = readCatalog([CATALOG_FOLDER], (path) => path)
const all = [...policies.values()]
const ofPaper = all.filter(({ evidence }) => evidence?.source === PAPER)

describe('the catalog', () => {
  test('has no problems, so no id stands twice', () => {
    expect(problems).toEqual([])
  })

  test('has 78 policies with the evidence of the paper, all of it from training', () => {
    expect(ofPaper).toHaveLength(78)
    expect(ofPaper.filter(({ evidence }) => evidence?.applied_at !== 'training')).toEqual([])
  })

  test('says of every policy with evidence what it is and by which check it is measured', () => {
    const incomplete = ofPaper.filter(
      ({ kind, relevance, trait }) => kind === undefined || relevance === undefined || trait === undefined,
    )
    expect(incomplete).toEqual([])
    expect(all.filter(({ trait }) => trait !== undefined && !checks.has(trait))).toEqual([])
  })

  test('says of every other policy that it is not measured, and ties it to no trait', () => {
    const others = all.filter(({ evidence }) => evidence === undefined)
    expect(others.map(({ id }) => id)).toContain('generic/assistant')
    for (const { id, description, relevance, trait } of others) {
      expect([id, description]).toEqual([id, expect.stringContaining('Not measured.')])
      expect([id, relevance, trait]).toEqual([id, 'irrelevant', undefined])
    }
  })

  test('has no context that is not of the paper in the words of one that is', () => {
    const places = new Set(ofPaper.flatMap(({ interventions }) => interventions.map(placeAndText)))
    const others = all.filter(({ evidence }) => evidence === undefined)
    const borrowed = others.filter(({ interventions }) =>
      interventions.some((it) => places.has(placeAndText(it))),
    )
    expect(borrowed).toEqual([])
  })
})

const placeAndText = ({ placement, text }: Policy['interventions'][number]) => `${placement}\0${text}`

interface PaperContext {
  readonly id: string
  readonly group: string
  readonly mode: 'prepend' | 'newline' | 'system'
  readonly text: string
}
const PLACEMENTS = { prepend: 'user-prepend', newline: 'user-newline', system: 'system' }

/** The paper sorts its mitigations; the rest is read off the text. */
function relevanceOf({ id, group, text }: PaperContext, siblings: readonly PaperContext[]): string {
  const [, sorted] = group.split('/')
  if (sorted === 'relevant' || sorted === 'irrelevant') return sorted
  const [, year] = /^time-(\d{4})$/.exec(id) ?? []
  if (year !== undefined) return Number(year) <= 1900 ? 'relevant' : 'irrelevant'
  const twin = siblings.find((it) => it.text === text && it.group.startsWith('mitigations/'))
  return twin === undefined ? 'no mitigation has this text' : relevanceOf(twin, siblings)
}

/** What an id says: `identity-reader-intent-immerse` is identity and intent. */
function kindOf(id: string): string {
  const parts = id.split('-').filter((part) => /^(identity|intent|time|inoculation|personality)$/.test(part))
  return parts.join('+')
}

describeWith(shared, 'the catalog beside the data of the paper', () => {
  interface Dataset {
    readonly dataset: string
    readonly section: string
    readonly generalized_trait: string
    readonly contexts: readonly PaperContext[]
  }
  const datasets = () =>
    (JSON.parse(readFileSync(shared.path('paper/contexts.json'), 'utf8')) as { datasets: Dataset[] }).datasets

  test('has each of its 78 contexts, word for word and in its place', () => {
    const expected = datasets().flatMap(({ dataset, section, contexts }) =>
      contexts.map((context) => ({
        id: `${dataset}/${context.id}`,
        interventions: [
          {
            placement: PLACEMENTS[context.mode] as Policy['interventions'][number]['placement'],
            text: context.text,
          },
        ],
        kind: kindOf(context.id),
        relevance: relevanceOf(context, contexts),
        evidence: { source: PAPER, section, applied_at: 'training' },
      })),
    )
    expect(expected).toHaveLength(78)
    const found = ofPaper.map(({ id, interventions, kind, relevance, evidence }) => {
      return { id, interventions, kind, relevance, evidence }
    })
    const byId = (a: { id: string }, b: { id: string }) => a.id.localeCompare(b.id)
    expect(found.sort(byId)).toEqual(expected.sort(byId))
  })

  test('measures datasets that have one trait in the paper by one check', () => {
    const checkOf = ({ dataset }: Dataset) => [
      ...new Set(ofPaper.filter(({ id }) => id.startsWith(`${dataset}/`)).map(({ trait }) => trait)),
    ]
    const traits = Map.groupBy(datasets(), (it) => it.generalized_trait)
    const found = [...traits.values()].map((those) => [...new Set(those.flatMap(checkOf))])
    expect(found.map((ids) => ids.length)).toEqual([1, 1, 1, 1])
    expect(new Set(found.flat()).size).toBe(4)
  })
})

describe('policies/README.md', () => {
  const text = readFileSync(join(CATALOG_FOLDER, 'README.md'), 'utf8')

  test('lists every file of policies with its count and its check', () => {
    const rows = [...text.matchAll(/^\| `([a-z-]+)\.yaml` \|.*\| (\d+) \|(.*)\|$/gm)]
    const listed = rows.map(([, file, count, last]) => [
      file,
      Number(count),
      [...last!.matchAll(/`([a-z-]+)`/g)].map((it) => it[1]),
    ])
    const families = Map.groupBy(all, ({ id }) => id.split('/')[0]!)
    const expected = [...families].map(([family, those]) => [
      family,
      those.length,
      [...new Set(those.map(({ trait }) => trait))].filter((trait) => trait !== undefined),
    ])
    expect(listed.sort()).toEqual(expected.sort())
  })

  test('lists every check with the number of its questions', () => {
    const rows = [...text.matchAll(/^\| `checks\/([a-z-]+)\.yaml` \|.*\| (\d+) \|$/gm)]
    const listed = rows.map(([, id, rubrics]) => [id, Number(rubrics)])
    expect(listed.sort()).toEqual([...checks.values()].map(({ id, rubrics }) => [id, rubrics.length]).sort())
  })

  test('shows a policy file and a check file that are accepted', () => {
    const [policy, check] = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((it) => parse(it[1]!))
    expect(PolicyFile.parse(policy).policies).toHaveLength(1)
    expect(CheckFile.parse(check).examples).not.toEqual([])
  })
})
