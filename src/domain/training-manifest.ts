/**
 * What stands beside fine-tuning data that `ballast dataset apply` made: which contexts are in it, by id and hash. A route's
 * `trained_with` may point to it; the configuration then holds what it serves to it.
 */
import { z } from 'zod'
import { Intervention } from './policy.ts'

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hex')
const Count = z.int().min(0, 'cannot be negative')

const DataFile = z.object({
  /** Its name, without a folder. */
  file: z.string(),
  rows: Count,
  bytes: Count,
  sha256: Sha256,
})

export const TrainingManifest = z.object({
  /** Of this format. */
  ballast_dataset: z.literal(1, 'is not 1, the only version of a manifest there is'),
  /** When it was made, as ISO 8601. */
  made: z.string(),
  input: DataFile,
  output: DataFile,
  seed: z.string(),
  /** Share of the rows that were meant to get a context, 0 to 1. */
  fraction: z.number().min(0).max(1),
  policies: z
    .array(
      z.object({
        id: z.string(),
        /** `policyHash` of what it did. */
        hash: z.string().regex(/^[0-9a-f]{16}$/, 'is not the hash of a policy'),
        /** Rows that stand behind it. */
        rows: Count,
        interventions: z.array(Intervention),
      }),
    )
    .min(1, 'is empty: then nothing was applied'),
  /** Rows that stand behind no context: not drawn, a condition unmet, or no place for it and a policy that skips then. */
  without_context: Count,
})
export type TrainingManifest = z.infer<typeof TrainingManifest>

/** What is added to the data file's name. */
export const MANIFEST_ENDING = '.manifest.json'

/** Whether a `trained_with` names a manifest rather than a policy. */
export function isManifestPath(trainedWith: string): boolean {
  return trainedWith.endsWith('.json')
}
