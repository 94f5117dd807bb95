/** Reads manifests of training data, for the commands that go by them. */
import { existsSync, readFileSync } from 'node:fs'
import { TrainingManifest } from '../domain/training-manifest.ts'
import { UsageError } from './usage.ts'

/**
 * @param shown how it is named.
 * @returns null where there is none.
 * @throws UsageError for a file that is no manifest.
 */
export function readManifest(path: string, shown: string): TrainingManifest | null {
  if (!existsSync(path)) return null
  try {
    return TrainingManifest.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    throw new UsageError(`${shown} is not a manifest: \`ballast dataset apply\` writes one beside the data.`)
  }
}
