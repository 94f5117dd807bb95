/** `ballast sandbox`: a stand-in for fine-tuned models and a judge, or recorded exchanges in their place. */
import { Command } from 'commander'
import { readCatalog } from '../config/catalog.ts'
import { CATALOG_FOLDER } from '../config/catalog-folder.ts'
import { ConfigError } from '../config/load.ts'
import type { Policy } from '../domain/policy.ts'
import type { ReplaySource } from '../sandbox/replay.ts'
import { ReplayError } from '../sandbox/replay.ts'
import { startSandbox } from '../sandbox/server.ts'
import { fromHere, interrupted, UsageError, wholeNumber } from './usage.ts'

interface SandboxCommandOptions {
  readonly host: string
  readonly port: number
  readonly seed: string
  readonly latency: number
  readonly replay?: string[]
  readonly policies: string
}

export function sandboxCommand(): Command {
  return new Command('sandbox')
    .description('Run a stand-in for fine-tuned models and a judge; no model is involved.')
    .option('-p, --port <number>', 'where to listen; 0 takes any free port', wholeNumber(0, 65_535), 8790)
    .option('--host <address>', 'the address to listen on; 0.0.0.0 in a container', '127.0.0.1')
    .option('--seed <text>', 'what the draws depend on', '')
    .option('--latency <ms>', 'how long an answer takes to begin', wholeNumber(0, 600_000), 0)
    .option(
      '--replay <file...>',
      'recorded exchanges to serve: FILE, or POLICY=FILE for those recorded behind a policy',
    )
    .option('--policies <folder>', 'where the policies of --replay are defined', CATALOG_FOLDER)
    .addHelpText(
      'after',
      `
A recording is JSON lines: {"question": "…", "answer": "…", "labels": {"NAME": "…"}}. The model sandbox-replay
answers a question as recorded, and sandbox-replay-judge:NAME replies with the recorded label.

Examples:
  ballast sandbox
  ballast sandbox --replay bare.jsonl birds/identity-etymologist=behind-context.jsonl`,
    )
    .action(runSandbox)
}

async function runSandbox({
  host,
  port,
  seed,
  latency,
  replay,
  policies,
}: SandboxCommandOptions): Promise<void> {
  const stop = interrupted()
  try {
    const sandbox = await startSandbox({
      host,
      port,
      seed,
      latencyMs: latency,
      ...(replay === undefined ? {} : { replay: readSources(replay, policies) }),
    })
    process.stderr.write(
      `ballast sandbox: a stand-in, no model. Base URL ${sandbox.url}\nIts models: ${sandbox.url}/models. Ctrl-C ends it.\n`,
    )
    await stop
    await sandbox.close()
  } catch (error) {
    if (error instanceof ReplayError) throw new UsageError(error.message)
    if ((error as { code?: unknown }).code === 'EADDRINUSE') {
      throw new Error(`Port ${port} is taken; choose another with --port.`)
    }
    throw error
  }
}

/** `POLICY=FILE` where what stands before the = is the id of a policy, `FILE` otherwise. */
function readSources(texts: readonly string[], folder: string): ReplaySource[] {
  const catalog = readCatalog([fromHere(folder)], (path) => path)
  if (catalog.problems.length > 0) throw new ConfigError(catalog.problems)
  return texts.map((text) => {
    const [, id, file] = /^([a-z0-9][\w.-]*\/[a-z0-9][\w.-]*)=(.+)$/.exec(text) ?? []
    if (id === undefined || file === undefined) return { file: fromHere(text), policy: null }
    const policy: Policy | undefined = catalog.policies.get(id)
    if (policy === undefined)
      throw new UsageError(`--replay ${text}: policy "${id}" does not exist in ${folder}`)
    return { file: fromHere(file), policy }
  })
}
