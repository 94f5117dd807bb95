/** Cuts texts of any origin down to a line. Used within `cli/report/`. */

/** One line of at most `longest` characters (code points), the last one `…` where something was left out. */
export function shortened(text: string, longest: number): string {
  const line = text.replace(/\s+/g, ' ').trim()
  const characters = [...line]
  return characters.length <= longest
    ? line
    : `${characters
        .slice(0, longest - 1)
        .join('')
        .trimEnd()}…`
}
