/** `ballast serve`: the proxy with its judge, until it is told to stop. */
import { Command } from 'commander'
import { openTracing } from '../adapters/tracing.ts'
import { keepRequestsYoung } from '../node/heap.ts'
import { startBallast } from '../node.ts'
import { keptInWords } from './plan.ts'
import { logLevelOption, type RunningOptions, runUntilStopped } from './running.ts'

interface ServeOptions extends RunningOptions {
  readonly judge: boolean
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run the proxy and its judge (the default command).')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .addOption(logLevelOption())
    .option('--no-watch', 'reload the configuration on SIGHUP only, not when its files change')
    .option('--no-judge', 'store samples and leave judging them to `ballast judge`')
    .addHelpText(
      'after',
      '\nExample:\n  OPENAI_API_KEY=sk-… ballast serve --config ballast.yaml\n\nThen point an OpenAI client at http://127.0.0.1:8787/v1. SIGHUP reloads the\nconfiguration. SIGTERM lets running requests end first.',
    )
    .action(serve)
}

async function serve(options: ServeOptions): Promise<void> {
  keepRequestsYoung()
  await runUntilStopped(options, {
    start: async (config, log) => {
      const tracing = await openTracing(process.env, log)
      return await startBallast(config, log, { judges: options.judge, tracing })
    },
    fixed: (running) => running,
    begun: ({ url, adminUrl, config }, log) =>
      log.info(
        { url, admin: adminUrl, config: config.hash, samples: keptInWords(config.samples) },
        'ballast serves',
      ),
    ending: 'ballast stops: running requests may end',
    ended: 'ballast has stopped',
  })
}
