/** `ballast policies`: lists, searches and shows what there is to inject, and says what is known of its effect. */
import { Command } from 'commander'
import { didYouMean } from '../config/near.ts'
import type { Policy } from '../domain/policy.ts'
import { type Catalog, type CatalogOptions, familyOf, findPolicy, openCatalog } from './catalog.ts'
import {
  conditionsInWords,
  evidenceInWords,
  measuredShortly,
  PLACEMENTS,
  RELEVANCES,
  UNSUPPORTED,
  usageYaml,
} from './policy-text.ts'
import { bold, columnsOf, count, dim, labelled, printable, table, wrap } from './text.ts'
import { UsageError } from './usage.ts'

interface PoliciesOptions extends CatalogOptions {
  readonly json: boolean
}

/** What a list can be narrowed down to, by the option's name. */
const FILTERS: Readonly<Record<string, (policy: Policy) => string | undefined>> = {
  family: familyOf,
  kind: ({ kind }) => kind,
  relevance: ({ relevance }) => relevance,
  trait: ({ trait }) => trait,
}

export function policiesCommand(): Command {
  return new Command('policies')
    .description('List, search and show policies: the contexts that can be injected.')
    .option(
      '--policies <folder...>',
      'the folders they stand in; "catalog" is the one that ships with ballast',
    )
    .option('-c, --config <file>', 'take those of a configuration')
    .option('--json', 'print them as JSON, with all that is known', false)
    .addHelpText(
      'after',
      `
Examples:
  ballast policies
  ballast policies --family birds --relevance irrelevant
  ballast policies search football
  ballast policies show birds/identity-etymologist`,
    )
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(searchCommand())
    .addCommand(showCommand())
}

function listCommand(): Command {
  return subcommand('list', 'List them, family by family (the default).')
    .option('--family <name>', 'those of one file, such as birds')
    .option('--dataset <name>', 'the same: in the catalog a file is a dataset')
    .option('--kind <kind>', 'identity, intent, identity+intent, time, inoculation or personality')
    .option('--relevance <relevance>', 'relevant or irrelevant')
    .option('--trait <check>', 'those meant for a trait')
    .allowExcessArguments()
    .addHelpText('after', '\nExample:\n  ballast policies list --family birds --kind time')
    .action((_options: unknown, command: Command) => {
      const [word] = command.args
      if (word !== undefined)
        throw new UsageError(`There is no "policies ${word}"; there are list, search WORDS and show ID.`)
      const { dataset, ...options } = command.optsWithGlobals<PoliciesOptions & Record<string, string>>()
      const catalog = openCatalog(options)
      const wanted = { ...options, family: options.family ?? dataset }
      const found = filtered([...catalog.policies.values()], wanted)
      print(found, options.json, () => drawList(found, columnsOf(process.stdout)))
    })
}

function searchCommand(): Command {
  return subcommand('search', 'Find those that hold all of the words, in id, text or description.')
    .argument('<words...>')
    .addHelpText('after', '\nExample:\n  ballast policies search 19th century')
    .action((words: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<PoliciesOptions>()
      const found = searched([...openCatalog(options).policies.values()], words)
      print(found, options.json, () => drawFound(found, columnsOf(process.stdout)))
    })
}

function showCommand(): Command {
  return subcommand('show', 'Show one: its text, what is known of it, how to use it.')
    .argument('<id>')
    .addHelpText('after', '\nExample:\n  ballast policies show birds/identity-etymologist')
    .action((id: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<PoliciesOptions>()
      const catalog = openCatalog(options)
      const policy = findPolicy(catalog, id)
      process.stdout.write(
        options.json
          ? `${JSON.stringify(asJson(policy), null, 2)}\n`
          : drawPolicy(policy, catalog, columnsOf(process.stdout)),
      )
    })
}

function subcommand(name: string, description: string): Command {
  return new Command(name).description(description).configureHelp({ showGlobalOptions: true })
}

function print(policies: readonly Policy[], json: boolean, draw: () => string): void {
  if (json) process.stdout.write(`${JSON.stringify(policies.map(asJson), null, 2)}\n`)
  else if (policies.length === 0) process.stderr.write('No policy is like that.\n')
  else process.stdout.write(draw())
}

/** Everything about a policy; what is not known is null. */
function asJson(policy: Policy): Record<string, unknown> {
  const unknown = { description: null, kind: null, relevance: null, trait: null, evidence: null }
  const { id, ...known } = policy
  return { id, family: familyOf(policy), ...unknown, ...known }
}

/** @throws UsageError for a value that no policy has. */
function filtered(policies: readonly Policy[], wanted: Readonly<Record<string, unknown>>): Policy[] {
  let found = [...policies]
  for (const [name, read] of Object.entries(FILTERS)) {
    const value = wanted[name]
    if (value === undefined) continue
    const known = [...new Set(policies.map(read))].filter((it) => it !== undefined)
    if (!known.includes(String(value))) {
      const meant = didYouMean(String(value), known)
      const hint = meant === '' ? `; there are ${known.join(', ') || 'none'}` : meant
      throw new UsageError(`--${name} ${value}: no policy is of it${hint}`)
    }
    found = found.filter((policy) => read(policy) === value)
  }
  return found
}

/** What a word is worth by where it stands. */
const [IN_ID, IN_TEXT, ELSEWHERE] = [4, 2, 1]

/** Those that hold every word, the best first. */
function searched(policies: readonly Policy[], words: readonly string[]): Policy[] {
  const sought = words.flatMap((word) => word.toLowerCase().split(/\s+/)).filter((word) => word !== '')
  return policies
    .map((policy) => {
      const worths = sought.map((word) => worth(policy, word))
      return { policy, worth: worths.includes(0) ? 0 : worths.reduce((sum, it) => sum + it, 0) }
    })
    .filter(({ worth }) => worth > 0)
    .sort((a, b) => b.worth - a.worth || (a.policy.id < b.policy.id ? -1 : 1))
    .map(({ policy }) => policy)
}

function worth({ id, interventions, description, kind, relevance, trait }: Policy, word: string): number {
  const holds = (text: string | undefined) => text?.toLowerCase().includes(word) === true
  return (
    (holds(id) ? IN_ID : 0) +
    (interventions.some(({ text }) => holds(text)) ? IN_TEXT : 0) +
    (holds(description) || kind === word || relevance === word || trait === word ? ELSEWHERE : 0)
  )
}

function drawList(policies: readonly Policy[], columns: number): string {
  const traitOf = ({ trait }: Policy) => (trait === undefined ? 'no trait of its own' : `trait ${trait}`)
  const families = [...Map.groupBy(policies, familyOf)]
  // What is the same throughout a family stands over it and not in each line.
  const shared = (members: readonly Policy[], read: (policy: Policy) => string) => {
    const values = new Set(members.map(read))
    return values.size === 1 ? [...values] : []
  }
  const cells = (policy: Policy, members: readonly Policy[]) => [
    policy.id,
    policy.kind ?? '–',
    policy.relevance ?? '–',
    ...[traitOf, measuredShortly].map((read) => (shared(members, read).length === 0 ? read(policy) : '')),
  ]
  const rows = families.flatMap(([, members]) => members.map((policy) => cells(policy, members)))
  // An empty column takes no room.
  const used = [0, 1, 2, 3, 4].filter((index) => rows.some((row) => row[index] !== ''))
  const lines = table(
    rows.map((row) => used.map((index) => row[index]!)),
    columns,
  ).split('\n')
  const drawn = families.map(([family, members]) => {
    const heading = [
      count(members.length, 'policy', 'policies'),
      ...shared(members, traitOf),
      ...shared(members, measuredShortly),
    ].join(', ')
    const body = lines.splice(0, members.length).join('\n')
    return `${bold(family)}\n${dim(wrap(heading, columns, 0))}\n${body}\n`
  })
  const hint = '`ballast policies show ID` says what one injects and what is known of its effect.'
  return `${drawn.join('\n')}\n${dim(wrap(hint, columns))}\n`
}

function drawFound(policies: readonly Policy[], columns: number): string {
  return policies
    .map((policy) => {
      const texts = policy.interventions.map(({ text }) => wrap(printable(text), columns, 2))
      return `${bold(policy.id)}\n${texts.join('\n')}\n`
    })
    .join('')
}

const ROOM = 12

function drawPolicy(policy: Policy, { checks }: Catalog, columns: number): string {
  const { id, description, interventions, kind, relevance, trait } = policy
  const line = (label: string, text: string) => `${labelled(label, text, columns, ROOM)}\n`
  const conditions = conditionsInWords(policy.when).map(({ words }) => words)
  const about = trait === undefined ? undefined : checks.get(trait)?.description
  return [
    `${bold(id)}\n`,
    ...(description === undefined ? [] : [`${wrap(printable(description), columns)}\n`]),
    ...interventions.map(
      ({ placement, text }) =>
        `\n${wrap(`${placement}: ${PLACEMENTS[placement]}`, columns)}\n${bold(wrap(printable(text), columns, 2))}\n`,
    ),
    '\n',
    line('applied', conditions.length === 0 ? 'to every request' : `only where ${conditions.join(', and ')}`),
    line('no place', UNSUPPORTED[policy.on_unsupported ?? 'reject']),
    line('kind', kind ?? 'not stated'),
    line('relevance', relevance === undefined ? 'not stated' : `${relevance}: ${RELEVANCES[relevance]}`),
    line('trait', trait === undefined ? 'not stated' : `${trait}${about === undefined ? '' : `: ${about}`}`),
    line('evidence', evidenceInWords(policy)),
    '\nIn ballast.yaml:\n\n',
    usageYaml(policy).replace(/^/gm, '  ').trimEnd(),
    `\n\nWhat it makes of a message:\n\n  echo '{"messages": [{"role": "user", "content": "Hello"}]}' |\n    ballast explain --policy ${id}\n`,
  ].join('')
}
