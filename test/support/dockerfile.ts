/**
 * Lays a Dockerfile's last stage out in a folder, without an engine: FROM, WORKDIR and COPY are followed, ENV, USER,
 * ENTRYPOINT, CMD and HEALTHCHECK read. Of RUN only `npm` is run; the base image's Node is this project's own.
 */
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DockerfileParser } from 'dockerfile-ast'
import { runNpm } from './npm.ts'

const ROOT = join(import.meta.dirname, '../..')

export interface Stage {
  /** Of the image it is from, such as `node:24.21.0-trixie-slim`. */
  readonly base: string
  /** The folder that stands for `/`. */
  readonly root: string
  workdir: string
  readonly environment: Record<string, string>
  user: string | null
  entrypoint: string[]
  command: string[]
  health: string[]
  /** What was taken from the build's context. */
  readonly copied: string[]
}

/**
 * @param folder an empty one; each stage gets a folder below it.
 * @returns the last stage.
 * @throws Error for what is not followed here, so that nothing is passed over unseen.
 */
export async function layOut(dockerfile: string, folder: string): Promise<Stage> {
  const stages = new Map<string, Stage>()
  let stage: Stage | null = null
  for (const instruction of DockerfileParser.parse(dockerfile).getInstructions()) {
    const keyword = instruction.getKeyword()
    // With flags, which `getArgumentsContent` leaves out; lines that go on are joined.
    const text = instruction
      .getTextContent()
      .slice(keyword.length)
      .replaceAll(/\\\n\s*/g, '')
      .trim()
    if (keyword === 'FROM') {
      const [base, , name] = text.split(' ')
      const root = join(folder, name ?? 'image')
      mkdirSync(root)
      stage = {
        base: base!,
        root,
        workdir: '/',
        environment: {},
        user: null,
        entrypoint: [],
        command: [],
        health: [],
        copied: [],
      }
      stages.set(name ?? '', stage)
      continue
    }
    if (stage === null) throw new Error(`${keyword} before FROM`)
    await follow(keyword, text, stage, stages)
  }
  return stage!
}

async function follow(
  keyword: string,
  text: string,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
): Promise<void> {
  const inside = (path: string) => join(stage.root, path.startsWith('/') ? path : join(stage.workdir, path))
  switch (keyword) {
    case 'WORKDIR':
      stage.workdir = text
      mkdirSync(inside(text), { recursive: true })
      return
    case 'COPY': {
      const words = text.split(/\s+/)
      const from = /^--from=(.+)$/.exec(words[0]!)?.[1]
      const [target, ...sources] = (from === undefined ? words : words.slice(1)).reverse()
      if (from === undefined) stage.copied.push(...sources)
      for (const source of sources) {
        const origin = from === undefined ? join(ROOT, source) : join(stages.get(from)!.root, source)
        // A file goes into a folder that ends in a slash; a folder's content becomes that of the target.
        const into = target!.endsWith('/') ? join(inside(target!), basename(source)) : inside(target!)
        cpSync(origin, into, { recursive: true, verbatimSymlinks: true })
      }
      return
    }
    case 'RUN':
      if (!/^npm [^&|;$`]+$/.test(text)) throw new Error(`only npm is run here, not: ${text}`)
      // Everything, as this checkout has it: not installed a second time.
      if (text.startsWith('npm ci') && !text.includes('--omit=dev'))
        symlinkSync(join(ROOT, 'node_modules'), join(inside('.'), 'node_modules'))
      else await runNpm('npm', text.split(' ').slice(1), inside('.'))
      return
    case 'ENV': {
      const [, name, value] = /^(\w+)=(\S+)$/.exec(text)!
      stage.environment[name!] = value!
      return
    }
    case 'USER':
      stage.user = text
      return
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(text) as string[]
      return
    case 'CMD':
      stage.command = JSON.parse(text) as string[]
      return
    case 'HEALTHCHECK':
      stage.health = JSON.parse(text.slice(text.indexOf('CMD ') + 'CMD '.length)) as string[]
      return
    case 'ARG':
    case 'LABEL':
    case 'EXPOSE':
      return
    default:
      throw new Error(`${keyword} is not followed here`)
  }
}
