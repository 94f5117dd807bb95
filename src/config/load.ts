/** Configurations whose files are on disk. Called by `node.ts` and the commands. */
import { type Config, type LoadOptions, parseConfigIn, shortest } from './parse.ts'
import { ConfigError } from './problem.ts'
import { diskFiles, readText } from './read.ts'

export { type Config, ConfigError, type LoadOptions, shortest }

/** @throws ConfigError */
export function loadConfigFile(path: string, options: LoadOptions): Config {
  const file = shortest(path)
  const text = readText(path, file)
  if (typeof text !== 'string') throw new ConfigError([text])
  return parseConfig(text, file, options)
}

/**
 * @param file the name shown in problems; paths in the configuration are relative to its folder.
 * @throws ConfigError
 */
export function parseConfig(text: string, file: string, options: LoadOptions): Config {
  return parseConfigIn(text, file, { ...options, files: diskFiles })
}
