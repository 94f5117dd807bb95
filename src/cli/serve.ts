/** `ballast serve`: the proxy with its judge, until it is told to stop. */
import { Command, Option } from 'commander'
import { pino } from 'pino'
import { loadConfigFile } from '../config/load.ts'
import { Reloads } from '../node/reloads.ts'
import { CATALOG_FOLDER, startBallast } from '../node.ts'
import { keptInWords } from './plan.ts'
import { fromHere, interrupted } from './usage.ts'

interface ServeOptions {
  readonly config: string
  readonly logLevel: string
  readonly watch: boolean
}

/** How often the files of the configuration are looked at; a change is taken up after one to two such times. */
const WATCH_EVERY_MS = 500

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run the proxy and its judge (the default command).')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .addOption(
      new Option('--log-level <level>', 'how much to log, as JSON lines on stderr')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .option('--no-watch', 'reload the configuration on SIGHUP only, not when its files change')
    .addHelpText(
      'after',
      '\nExample:\n  OPENAI_API_KEY=sk-… ballast serve --config ballast.yaml\n\nThen point an OpenAI client at http://127.0.0.1:8787/v1. SIGHUP reloads the\nconfiguration. SIGTERM lets running requests end first.',
    )
    .action(serve)
}

async function serve({ config: file, logLevel, watch }: ServeOptions): Promise<void> {
  const path = fromHere(file)
  const options = { environment: process.env, catalog: CATALOG_FOLDER }
  const log = pino({ level: logLevel, base: null }, pino.destination({ fd: 2, sync: true }))
  const stop = interrupted()
  let reloads: Reloads | null = null
  let asked = false
  // From the beginning: without a listener it would end the process.
  process.on('SIGHUP', () => {
    if (reloads === null) asked = true
    else void reloads.reload()
  })
  const config = loadConfigFile(path, options)
  const ballast = await startBallast(config, log)
  reloads = new Reloads({
    ballast,
    file: path,
    read: (running) => loadConfigFile(path, { ...options, running }),
    everyMs: watch ? WATCH_EVERY_MS : null,
  })
  if (asked) void reloads.reload()
  log.info(
    { url: ballast.url, admin: ballast.adminUrl, config: config.hash, samples: keptInWords(config.samples) },
    'ballast serves',
  )
  const signal = await stop
  log.info({ signal }, 'ballast stops: running requests may end')
  await Promise.all([ballast.close(), reloads.close()])
  log.info({}, 'ballast has stopped')
}
