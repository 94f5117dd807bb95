/** What reading a configuration needs of a file system. On disk it is `read.ts`; a Worker has its own, in its bundle. */
import type { Problem } from './problem.ts'

export interface Files {
  isFolder(path: string): boolean
  /** Names of what is in a folder; none where there is no such folder. @throws where it may not be read. */
  list(folder: string): readonly string[]
  /** @returns the file's text, or what is wrong with it; `file` is how it is named there. */
  readText(path: string, file: string): string | Problem
}
