/** `ballast serve`: the proxy with its judge, until it is told to stop. */
import { Command, Option } from 'commander'
import { pino } from 'pino'
import { loadConfigFile } from '../config/load.ts'
import { formatProblem } from '../config/source.ts'
import { CATALOG_FOLDER, startBallast } from '../node.ts'
import { warnings } from '../policy/warnings.ts'
import { fromHere, interrupted } from './usage.ts'

interface ServeOptions {
  readonly config: string
  readonly logLevel: string
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run the proxy and its judge (the default command).')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .addOption(
      new Option('--log-level <level>', 'how much to log, as JSON lines on stderr')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addHelpText(
      'after',
      '\nExample:\n  OPENAI_API_KEY=sk-… ballast serve --config ballast.yaml\n\nThen point an OpenAI client at http://127.0.0.1:8787/v1. SIGTERM lets running requests end first.',
    )
    .action(serve)
}

async function serve({ config: file, logLevel }: ServeOptions): Promise<void> {
  const config = loadConfigFile(fromHere(file), { environment: process.env, catalog: CATALOG_FOLDER })
  const log = pino({ level: logLevel, base: null }, pino.destination({ fd: 2, sync: true }))
  for (const warning of warnings(config)) log.warn({}, formatProblem(warning))
  const stop = interrupted()
  const ballast = await startBallast(config, log)
  log.info({ url: ballast.url, admin: ballast.adminUrl, config: config.hash }, 'ballast serves')
  const signal = await stop
  log.info({ signal }, 'ballast stops: running requests may end')
  await ballast.close()
  log.info({}, 'ballast has stopped')
}
