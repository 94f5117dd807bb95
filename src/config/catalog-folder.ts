/** Where the policies are that ship with ballast. Not part of `load.ts`: a Worker has no folders. */
import { join } from 'node:path'

/** The folder of policies that ships with ballast: what `policies: catalog` stands for. */
export const CATALOG_FOLDER = join(import.meta.dirname, '../../policies')
