/** The files of a configuration as they are in a Worker's bundle, which has no file system. */
import type { Files } from '../config/files.ts'

/** What `write-bundled.ts` writes. Paths are made up: nothing of them tells of the machine it was bundled on. */
export interface Bundled {
  /** Where the configuration stands. */
  readonly file: string
  /** The folder that `policies: catalog` stands for. */
  readonly catalog: string
  /** The texts of files, the configuration's own among them, by path. */
  readonly texts: Readonly<Record<string, string>>
}

export function bundledFiles(texts: Bundled['texts']): Files {
  const paths = Object.keys(texts)
  return {
    isFolder: (path) => paths.some((it) => it.startsWith(`${path}/`)),
    list: (folder) => {
      const below = paths.filter((it) => it.startsWith(`${folder}/`))
      return [...new Set(below.map((it) => it.slice(folder.length + 1).split('/', 1)[0]!))]
    },
    readText: (path, file) =>
      texts[path] ?? { file, line: 1, column: 1, message: 'is not in the bundle; deploy again with it' },
  }
}
