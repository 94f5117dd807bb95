/**
 * Routes whose `trained_with` points to the manifest of a training file: what was trained is held to what is served. Called
 * by `parse.ts`.
 */
import { hash } from 'node:crypto'
import { resolve } from 'node:path'
import { effectText, type Policy } from '../domain/policy.ts'
import { isManifestPath, TrainingManifest } from '../domain/training-manifest.ts'
import type { Files } from './files.ts'
import { didYouMean } from './near.ts'
import { list, mapping } from './references-experiments.ts'
import type { Path, YamlSource } from './source.ts'

export interface TrainedManifests {
  /** For each path as routes name it, the id of the policy that holds what the model was trained with. */
  readonly ids: ReadonlyMap<string, string>
  /** Made for manifests with several policies: one with all of their texts, under the manifest's path. */
  readonly policies: readonly Policy[]
  /** Of the files, in the order they were read. */
  readonly texts: readonly string[]
}

/**
 * Notes a problem for each manifest that cannot be read or that does not fit the policies at hand.
 * @param files where the manifests are.
 * @param base the folder that paths are relative to.
 * @param known null where the catalog has problems of its own: then nothing is held against it.
 */
export function readTrainedManifests(
  files: Files,
  source: YamlSource,
  base: string,
  known: ReadonlyMap<string, Policy> | null,
): TrainedManifests {
  const ids = new Map<string, string>()
  const policies: Policy[] = []
  const texts: string[] = []
  for (const [index, value] of list(mapping(source.value).routes).entries()) {
    const route = mapping(value)
    const named = route.trained_with
    if (typeof named !== 'string' || !isManifestPath(named)) continue
    const at: Path = ['routes', index, 'trained_with']
    const read = readManifest(files, resolve(base, named), source.shown(named))
    if (typeof read === 'string') {
      source.report(at, read)
      continue
    }
    texts.push(read.text)
    const { manifest } = read
    if (known !== null) for (const fault of faults(manifest, known, named)) source.report(at, fault)
    const [only] = manifest.policies
    if (manifest.policies.length === 1) ids.set(named, only!.id)
    else {
      ids.set(named, named)
      policies.push({ id: named, interventions: manifest.policies.flatMap((it) => it.interventions) })
      if (route.match_training !== undefined) {
        const several = manifest.policies.map(({ id }) => id).join(', ')
        source.report(
          ['routes', index, 'match_training'],
          `would have to choose: the model was trained with several policies (${several}); name one in "trained_with"`,
        )
      }
    }
  }
  return { ids, policies, texts }
}

function readManifest(
  files: Files,
  path: string,
  shown: string,
): { manifest: TrainingManifest; text: string } | string {
  const text = files.readText(path, shown)
  const made = '`ballast dataset apply` writes one beside the data'
  if (typeof text !== 'string') return `the manifest ${path} ${text.message}; ${made}`
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return `the manifest ${path} is not JSON; ${made}`
  }
  const parsed = TrainingManifest.safeParse(value)
  if (parsed.success) return { manifest: parsed.data, text }
  const [issue] = parsed.error.issues
  return `${path} is not a manifest of training data: ${issue!.path.join('.') || 'it'}: ${issue!.message}; ${made}`
}

function faults(manifest: TrainingManifest, known: ReadonlyMap<string, Policy>, shown: string): string[] {
  return manifest.policies.flatMap(({ id, hash: trained, interventions }) => {
    const policy = known.get(id)
    if (policy === undefined) {
      const meant = didYouMean(id, known.keys())
      return [
        `${shown} says the model was trained with "${id}", which does not exist here${meant}; add the folder it stands in to "policies"`,
      ]
    }
    const served = hash('sha256', effectText(policy), 'hex').slice(0, 16)
    if (served === trained) return []
    const texts = interventions
      .map(({ placement, text }) => `${placement} ${JSON.stringify(text)}`)
      .join(', ')
    return [
      `"${id}" is not what the model was trained with: its hash is ${served} here and ${trained} in ${shown}, which has ${texts}; give the policy its old text back under this id, or train again with the new one`,
    ]
  })
}
