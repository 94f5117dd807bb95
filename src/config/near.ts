/** The known name that somebody probably meant. Used wherever a configuration names something that does not exist. */
import leven from 'leven'

/** As few letters may differ, and no more than this share of them. */
const MOST_LETTERS = 3
const MOST_SHARE = 0.4

/** @returns the nearest known name, or null where none is near enough to be meant. */
export function nearest(name: string, known: Iterable<string>): string | null {
  const most = Math.min(MOST_LETTERS, Math.round(name.length * MOST_SHARE))
  let best: string | null = null
  let least = most + 1
  for (const candidate of known) {
    // A policy without its family, and a key spelled in another style, are as good as right.
    const same = candidate.endsWith(`/${name}`) || plain(candidate) === plain(name)
    const distance = same ? 0 : leven(name.toLowerCase(), candidate.toLowerCase(), { maxDistance: least })
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** @returns `, did you mean "x"?`, or nothing where no known name is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const meant = nearest(name, known)
  return meant === null ? '' : `, did you mean "${meant}"?`
}

/** `baseUrl`, `base-url` and `base_url` are one. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}
