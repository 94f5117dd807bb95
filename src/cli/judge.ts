/** `ballast judge`: judges what proxies have stored, apart from them, until it is told to stop. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { openTracing } from '../adapters/tracing.ts'
import { type Address, AddressText } from '../config/values.ts'
import { logLevelOption, type RunningOptions, runUntilStopped } from './running.ts'
import { UsageError } from './usage.ts'

interface JudgeOptions extends RunningOptions {
  readonly listen: Address
}

const LISTEN = '127.0.0.1:9465'

export function judgeCommand(): Command {
  return new Command('judge')
    .description('Judge samples apart from the proxy, by the same configuration and store.')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .addOption(
      new Option('-l, --listen <address>', 'where /metrics, /healthz and /readyz are served')
        .argParser(readAddress)
        .default(readAddress(LISTEN), LISTEN),
    )
    .addOption(logLevelOption())
    .option('--no-watch', 'reload the configuration on SIGHUP only, not when its files change')
    .addHelpText(
      'after',
      '\nExamples:\n  ballast serve --config ballast.yaml --no-judge\n  ballast judge --config ballast.yaml\n\nAny number of them may work on one store, which cannot be `memory`. SIGHUP reloads\nthe configuration. SIGTERM gives back what is not judged yet.',
    )
    .action(judge)
}

function readAddress(text: string): Address {
  const address = AddressText.safeParse(text)
  if (address.success) return address.data
  throw new InvalidArgumentError('It is an address such as 127.0.0.1:9465.')
}

async function judge(options: JudgeOptions): Promise<void> {
  await runUntilStopped(options, {
    start: async (config, log) => {
      const { cannotJudge, startJudge } = await import('../node/judge-process.ts')
      const reason = cannotJudge(config)
      if (reason !== null) throw new UsageError(`${options.config}: ${reason}.`)
      return await startJudge(config, options.listen, log, await openTracing(process.env, log))
    },
    // It opens none of the proxy's sockets.
    fixed: ({ store }) => ({ store }),
    begun: ({ adminUrl, config }, log) =>
      log.info({ admin: adminUrl, config: config.hash }, 'ballast judges'),
    ending: 'ballast stops judging',
    ended: 'ballast has stopped judging',
  })
}
