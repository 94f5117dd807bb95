/**
 * A YAML file whose values know where they stand: reads the text, puts the environment in, and turns what is wrong
 * into `file:line:column: message`. Used by the configuration and the policy catalog.
 */
import {
  type Document,
  type ErrorCode,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml'
import type { z } from 'zod'

export type Path = readonly PropertyKey[]

/** A place in a file; lines and columns count from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something wrong in a file, and where. */
export interface Problem extends Place {
  readonly message: string
}

export function formatProblem({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`
}

/** `${NAME}`, or `$${NAME}` for the text `${NAME}` itself. */
const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g
/**
 * While YAML is parsed, the braces of a reference are these two, so that `{key: ${NAME}}` needs no quotes. One character
 * for one: positions stay.
 */
const [OPEN, CLOSE] = ['\uE000', '\uE001']
const HIDDEN_REFERENCE = new RegExp(`\\$(\\$?)${OPEN}([^${CLOSE}]*)${CLOSE}`, 'g')

/** What is wrong with the YAML, in words of our own: the parser's quote the text, which may hold a secret. */
const SYNTAX: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key stands twice',
  BAD_INDENT: 'the indentation does not fit',
  TAB_AS_INDENT: 'a tab indents this line; YAML takes spaces',
  MISSING_CHAR: 'something is missing here: a colon, a comma, a quote or a closing bracket',
  UNEXPECTED_TOKEN: 'something here does not belong: is a quote or a bracket missing before it?',
  BLOCK_IN_FLOW: 'a block cannot stand inside braces or brackets',
  BAD_ALIAS: 'this alias has no anchor',
  MULTIPLE_DOCS: 'a second document begins here; there can be one',
}

export class YamlSource {
  readonly file: string
  readonly problems: Problem[] = []
  /** The file's content with the environment put in; undefined where it is not YAML at all. */
  readonly value: unknown
  private readonly document: Document
  private readonly lines = new LineCounter()
  /** Values that came from the environment and may be secrets, with the names to show instead. */
  private readonly secrets = new Map<string, string>()

  /** Where a value is missing from the environment; whatever else is wrong there follows from it. */
  private readonly unset = new Set<number>()

  /**
   * @param file the name shown in problems.
   * @param environment where `${NAME}` is looked up; omitted, `${NAME}` is left as it stands.
   */
  constructor(file: string, text: string, environment?: Readonly<Record<string, string | undefined>>) {
    this.file = file
    const hidden = environment === undefined ? text : text.replace(REFERENCE, `$${OPEN}$1${CLOSE}`)
    this.document = parseDocument(hidden, { lineCounter: this.lines })
    // What follows the first one mostly follows from it.
    const [error] = this.document.errors
    if (error !== undefined) {
      this.reportAt(error.pos[0], SYNTAX[error.code] ?? `this is not YAML (${error.code})`)
      return
    }
    if (environment !== undefined) this.putEnvironmentIn(environment)
    try {
      this.value = this.document.toJS()
    } catch (error) {
      this.reportAt(0, error instanceof Error ? error.message : String(error))
    }
  }

  private putEnvironmentIn(environment: Readonly<Record<string, string | undefined>>): void {
    visit(this.document, {
      Scalar: (_key, node) => {
        if (typeof node.value !== 'string') return
        if (/(?<!\$)\$\{/.test(node.value)) {
          const message = 'the braces behind $ hold the name of an environment variable, and nothing else'
          this.reportAt(node.range?.[0] ?? 0, message)
        }
        if (!node.value.includes(OPEN)) return
        node.value = node.value.replace(HIDDEN_REFERENCE, (_whole, dollar: string, name: string) => {
          if (dollar !== '') return `\${${name}}`
          const value = environment[name]
          if (value === undefined || value === '') {
            const offset = node.range?.[0] ?? 0
            this.reportAt(offset, `the environment variable ${name} is not set`)
            this.unset.add(offset)
            return ''
          }
          this.secrets.set(value, name)
          return value
        })
      },
    })
  }

  /** Notes a problem at the value that `path` leads to, or at the nearest thing around it that exists. */
  report(path: Path, message: string): void {
    const offset = this.offset(path)
    if (!this.unset.has(offset))
      this.reportAt(offset, path.length === 0 ? message : `${formatPath(path)}: ${message}`)
  }

  /** Where the value that `path` leads to stands, or the nearest thing around it that exists. */
  place(path: Path): Place {
    const { line, col } = this.lines.linePos(this.offset(path))
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  /** Notes a problem at a key rather than at its value. */
  reportKey(path: Path, key: string, message: string): void {
    const map = this.document.getIn(path, true)
    const pair = isMap(map)
      ? map.items.find((it) => isPair(it) && isScalar(it.key) && String(it.key.value) === key)
      : null
    const offset = isNode(pair?.key) ? pair.key.range?.[0] : undefined
    this.reportAt(
      offset ?? this.offset(path),
      path.length === 0 ? message : `${formatPath(path)}: ${message}`,
    )
  }

  private offset(path: Path): number {
    for (let length = path.length; length >= 0; length--) {
      const node = length === 0 ? this.document.contents : this.document.getIn(path.slice(0, length), true)
      if (isNode(node) && node.range) return node.range[0]
    }
    return 0
  }

  private reportAt(offset: number, message: string): void {
    const { line, col } = this.lines.linePos(offset)
    let shown = message
    for (const [value, name] of this.secrets)
      if (value.length > 3) shown = shown.replaceAll(value, `\${${name}}`)
    this.problems.push({ file: this.file, line: Math.max(line, 1), column: Math.max(col, 1), message: shown })
  }

  /** Checks the content against a schema. @returns the parsed content, or undefined when problems were noted. */
  check<T extends z.ZodType>(schema: T): z.output<T> | undefined {
    if (this.problems.length > 0 && this.value === undefined) return undefined
    const result = schema.safeParse(this.value)
    if (result.success) return result.data
    this.reportIssues(result.error.issues, [])
    return undefined
  }

  private reportIssues(issues: readonly z.core.$ZodIssue[], base: Path): void {
    for (const issue of issues) {
      const path = [...base, ...issue.path]
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) this.reportKey(path, key, `unknown key "${key}"`)
      } else if (issue.code === 'invalid_key') {
        const key = String(path.at(-1))
        this.reportKey(
          path.slice(0, -1),
          key,
          `"${key}" ${issue.issues[0]?.message ?? 'is not a valid name'}`,
        )
      } else if (issue.code === 'invalid_union') {
        // The alternative that got furthest tells most about what was meant.
        const depth = (alternative: readonly z.core.$ZodIssue[]) =>
          Math.max(...alternative.map((it) => it.path.length))
        const deepest = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0] ?? []
        if (deepest.length > 0 && depth(deepest) > 0) this.reportIssues(deepest, path)
        else this.report(path, describeUnion(issue.errors))
      } else if (
        issue.code === 'invalid_type' &&
        this.document.getIn(path) === undefined &&
        path.length > 0
      ) {
        this.report(path.slice(0, -1), `"${String(path.at(-1))}" is missing`)
      } else {
        this.report(path, describe(issue))
      }
    }
  }
}

const TYPE_NAMES: Record<string, string> = {
  string: 'text',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  tuple: 'a list',
  number: 'a number',
  boolean: 'true or false',
}

function describe(issue: z.core.$ZodIssue): string {
  // A message of the schema's own says more than the type.
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input')) {
    return `${TYPE_NAMES[issue.expected] ?? issue.expected} is expected here`
  }
  if (issue.code === 'invalid_value')
    return `is not one of ${issue.values.map((value) => String(value)).join(', ')}`
  return issue.message
}

function describeUnion(alternatives: readonly (readonly z.core.$ZodIssue[])[]): string {
  return [...new Set(alternatives.flatMap((issues) => issues.map(describe)))].join(', or ')
}

function formatPath(path: Path): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('')
}
