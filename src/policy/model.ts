/** The model of a JSON request that is not injected. Called by the pass-through. */
import { JsonScanner } from './json-scanner.ts'
import { CommonMembers } from './surface.ts'

/** @returns the body's `model`, or null when it names none, or is not JSON: then it is not ballast's to judge. */
export function scanModel(body: Buffer): string | null {
  const common = new CommonMembers()
  const scanner = new JsonScanner(body)
  try {
    scanner.document((key) => {
      if (!common.read(scanner, key)) scanner.value()
    })
    return common.model
  } catch {
    return null
  }
}
