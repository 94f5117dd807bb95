/** Folders of policies and checks on disk. Called by the commands. */
import { type Catalog, readCatalogTexts } from './catalog-texts.ts'
import { diskFiles } from './read.ts'

export type { Catalog }

/**
 * @param folders each with `*.yaml` policy files and a `checks` folder; both may be missing.
 * @param show how a path is named in problems.
 */
export function readCatalog(folders: readonly string[], show: (path: string) => string): Catalog {
  return readCatalogTexts(diskFiles, folders, show)
}
