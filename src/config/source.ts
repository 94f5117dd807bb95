/**
 * A YAML file whose values know where they stand: reads the text, puts the environment in, and turns what is wrong
 * into `file:line:column: message`. Used by the configuration and the policy catalog.
 */
import { type Document, type ErrorCode, LineCounter, parseDocument, visit, type YAMLParseError } from 'yaml'
import type { z } from 'zod'
import { findingsOf } from './issues.ts'
import { brokenAliases, firstAlias, keyOffsetOf, offsetOf, type Path, unclosed } from './place.ts'
import type { Place, Problem } from './problem.ts'

export type { Path }

/** `${NAME}`, or `$${NAME}` for the text `${NAME}` itself. */
const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g
/**
 * While YAML is parsed, the braces of a reference are these two, so that `{key: ${NAME}}` needs no quotes. One character
 * for one: positions stay.
 */
const [OPEN, CLOSE] = ['\uE000', '\uE001']
const HIDDEN_REFERENCE = new RegExp(`\\$(\\$?)${OPEN}([^${CLOSE}]*)${CLOSE}`, 'g')

/** A value from the environment up to this length is no secret, and its letters stand everywhere. */
const LONGEST_SHOWN = 3

/** What is wrong with the YAML, in words of our own: the parser's quote the text, which may hold a secret. */
const SYNTAX: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key stands twice',
  BAD_INDENT: 'the indentation does not fit',
  TAB_AS_INDENT: 'a tab indents this line; YAML takes spaces',
  MULTILINE_IMPLICIT_KEY: 'this key has no colon behind it on its line',
  MISSING_CHAR: 'something is missing here: a colon, a comma, a quote or a closing bracket',
  UNEXPECTED_TOKEN: 'something here does not belong: is a quote or a bracket missing before it?',
  BLOCK_IN_FLOW: 'a block cannot stand inside braces or brackets',
  BAD_ALIAS: 'an alias is a * and the name of an anchor, and nothing else',
  MULTIPLE_DOCS: 'a second document begins here; there can be one',
}

export class YamlSource {
  readonly file: string
  readonly problems: Problem[] = []
  /** The file's content with the environment put in; undefined where it is not YAML at all. */
  readonly value: unknown
  private readonly document: Document
  private readonly lines = new LineCounter()
  /** Values that came from the environment and may be secrets, with the names to show instead; the longest first. */
  private secrets: [value: string, name: string][] = []

  /** Where the environment could not be put in; whatever else is wrong there follows from it. */
  private readonly unset = new Set<number>()

  /**
   * @param file the name shown in problems.
   * @param environment where `${NAME}` is looked up; omitted, `${NAME}` is left as it stands.
   */
  constructor(file: string, text: string, environment?: Readonly<Record<string, string | undefined>>) {
    this.file = file
    const plain = text.replace(/^\uFEFF/, '')
    const hidden = environment === undefined ? plain : plain.replace(REFERENCE, `$${OPEN}$1${CLOSE}`)
    this.document = parseDocument(hidden, {
      lineCounter: this.lines,
      merge: true,
      keepSourceTokens: true,
    })
    const { errors } = this.document
    const [error] = errors.filter(({ code }) => code !== 'DUPLICATE_KEY')
    // What follows the first one mostly follows from it; a key that stands twice leaves the rest as it is.
    for (const it of error === undefined ? errors : [error]) this.reportSyntax(it)
    if (error !== undefined) return
    const aliases = brokenAliases(this.document)
    for (const [offset, message] of aliases) this.reportAt(offset, message)
    if (aliases.length > 0) return
    if (environment !== undefined) this.putEnvironmentIn(environment)
    try {
      this.value = this.document.toJS()
    } catch {
      this.reportAt(firstAlias(this.document), 'the aliases from here on multiply this file beyond measure')
    }
  }

  private reportSyntax({ code, pos: [offset] }: YAMLParseError): void {
    // The parser tells where it noticed; what is to be mended stands where it began.
    const opened = code === 'MISSING_CHAR' || code === 'BAD_INDENT' ? unclosed(this.document, offset) : null
    if (opened !== null) this.reportAt(opened.offset, `this ${opened.what} is not closed`)
    else this.reportAt(offset, SYNTAX[code] ?? `this is not YAML (${code})`)
  }

  private putEnvironmentIn(environment: Readonly<Record<string, string | undefined>>): void {
    const used = new Map<string, string>()
    visit(this.document, {
      Scalar: (_key, node) => {
        if (typeof node.value !== 'string') return
        if (/(?<!\$)\$\{/.test(node.value)) {
          const message = 'the braces behind $ hold the name of an environment variable, and nothing else'
          this.reportAt(node.range?.[0] ?? 0, message)
          this.unset.add(node.range?.[0] ?? 0)
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
          used.set(value, name)
          return value
        })
      },
    })
    this.secrets = [...used].sort(([a], [b]) => b.length - a.length)
  }

  /** A text without what came from the environment. */
  shown(text: string): string {
    let shown = text
    for (const [value, name] of this.secrets)
      if (value.length > LONGEST_SHOWN) shown = shown.replaceAll(value, `\${${name}}`)
    return shown
  }

  /** Notes a problem at the value that `path` leads to, or at the nearest thing around it that exists. */
  report(path: Path, message: string): void {
    const offset = offsetOf(this.document, path)
    if (!this.unset.has(offset)) this.reportAt(offset, at(path, message))
  }

  /** Where the value that `path` leads to stands, or the nearest thing around it that exists. */
  place(path: Path): Place {
    return this.placeAt(offsetOf(this.document, path))
  }

  /** Notes a problem at a key rather than at its value. */
  reportKey(path: Path, key: string, message: string): void {
    const offset = keyOffsetOf(this.document, path, key) ?? offsetOf(this.document, path)
    this.reportAt(offset, at(path, message))
  }

  private reportAt(offset: number, message: string): void {
    this.problems.push({ ...this.placeAt(offset), message: this.shown(message) })
  }

  private placeAt(offset: number): Place {
    const { line, col } = this.lines.linePos(offset)
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  /** Checks the content against a schema. @returns the parsed content, or undefined when problems were noted. */
  check<T extends z.ZodType>(schema: T): z.output<T> | undefined {
    if (this.problems.length > 0 && this.value === undefined) return undefined
    if (this.value === null) {
      this.report([], 'is empty')
      return undefined
    }
    const result = schema.safeParse(this.value)
    if (result.success) return result.data
    for (const { path, key, message } of findingsOf(result.error.issues, schema, this.value)) {
      if (key === null) this.report(path, message)
      else this.reportKey(path, key, message)
    }
    return undefined
  }
}

function at(path: Path, message: string): string {
  return path.length === 0 ? message : `${formatPath(path)}: ${message}`
}

function formatPath(path: Path): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('')
}
