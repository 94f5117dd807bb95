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

const SOFT_HYPHEN = '\u00ad'

/** Lets words longer than this be broken, where lines are made of words. */
export function breakable(text: string, longestWord: number): string {
  return text
    .split(' ')
    .map((word) => {
      const characters = [...word]
      const parts: string[] = []
      for (let start = 0; start < characters.length; start += longestWord)
        parts.push(characters.slice(start, start + longestWord).join(''))
      return parts.join(SOFT_HYPHEN)
    })
    .join(' ')
}
