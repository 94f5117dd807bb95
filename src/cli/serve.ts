/** `ballast serve`: the proxy with its judge, until it is told to stop. */
import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { openTracing } from '../adapters/tracing.ts'
import { keepRequestsYoung } from '../node/heap.ts'
import { keptInWords } from './plan.ts'
import { logLevelOption, type RunningOptions, runUntilStopped } from './running.ts'

interface ServeOptions extends RunningOptions {
  readonly judge: boolean
  readonly workers: number
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run the proxy and its judge (the default command).')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .addOption(logLevelOption())
    .option('--no-watch', 'reload the configuration on SIGHUP only, not when its files change')
    .option('--no-judge', 'store samples and leave judging them to `ballast judge`')
    .option(
      '--workers <number>',
      'processes that serve requests behind one socket; `auto`: as many as there are cores',
      workersOption,
      1,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  OPENAI_API_KEY=sk-… ballast serve --config ballast.yaml\n  ballast serve --config ballast.yaml --workers auto\n\nThen point an OpenAI client at http://127.0.0.1:8787/v1. SIGHUP reloads the\nconfiguration. SIGTERM lets running requests end first.',
    )
    .action(serve)
}

/** More would be a slip of the finger. */
const MOST_WORKERS = 256

function workersOption(text: string): number {
  if (text === 'auto') return availableParallelism()
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= MOST_WORKERS) return value
  throw new InvalidArgumentError(`It is a whole number from 1 to ${MOST_WORKERS}, or auto.`)
}

async function serve(options: ServeOptions): Promise<void> {
  keepRequestsYoung()
  await runUntilStopped(options, {
    start: async (config, log) => {
      // What is wrong with a configuration is told before all this is loaded.
      const { startBallast } = await import('../node.ts')
      const { judge: judges, workers } = options
      return await startBallast(config, log, {
        judges,
        workers,
        tracing: await openTracing(process.env, log),
      })
    },
    fixed: (running) => running,
    begun: ({ url, adminUrl, config }, log) =>
      log.info(
        {
          url,
          admin: adminUrl,
          config: config.hash,
          samples: keptInWords(config.samples),
          ...(options.workers > 1 && { workers: options.workers }),
        },
        'ballast serves',
      ),
    ending: 'ballast stops: running requests may end',
    ended: 'ballast has stopped',
  })
}
