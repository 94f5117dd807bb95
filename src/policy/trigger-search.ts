/** The search for one context in the words of a text: a window that moves over its grams. Used by `trigger.ts`. */

/** A stretch of text, in UTF-16 units, and how like the context it is, 0 to 1. */
export interface TriggerMatch {
  readonly start: number
  readonly end: number
  readonly similarity: number
}

/** A word or a pair of words of a context. */
export interface Gram {
  readonly weight: number
  /** Whether it stands in the context once and means something: when it comes again, so does the context. */
  readonly isTelling: boolean
}

/** A context to look for. */
export interface Unit {
  readonly grams: readonly Gram[]
  /** The sum of the weights. */
  readonly total: number
  /** The most words a stretch of text may have. */
  readonly window: number
}

interface Hit {
  readonly gram: number
  /** Of its last word. */
  readonly index: number
  readonly start: number
}

interface Best extends TriggerMatch {
  readonly firstIndex: number
  readonly lastIndex: number
}

/** How many hits that have left the window are kept in the list before it is cut. */
const KEPT_HITS = 1024

export class Search {
  private readonly unit: Unit
  private readonly threshold: number
  private readonly counts: Uint32Array
  /** In the order they came; those before `first` have left the window. */
  private hits: Hit[] = []
  private first = 0
  private weight = 0
  private best: Best | null = null
  private readonly matches: TriggerMatch[]

  /** @param matches where it puts what it finds. */
  constructor(unit: Unit, threshold: number, matches: TriggerMatch[]) {
    this.matches = matches
    this.unit = unit
    this.threshold = threshold
    this.counts = new Uint32Array(unit.grams.length)
  }

  /**
   * Takes a gram of the context that stands in the text.
   * @param index of its last word; never less than in the call before.
   */
  hit(gram: number, index: number, start: number, end: number): void {
    const { unit, counts, best } = this
    if (best !== null) {
      // A word that comes again begins another occurrence.
      const again = counts[gram]! > 0 && unit.grams[gram]!.isTelling && index > best.lastIndex
      if (again || index - best.firstIndex >= unit.window) this.settle()
    }
    while (this.first < this.hits.length && index - this.hits[this.first]!.index >= unit.window) this.leave()
    if (counts[gram]!++ === 0) this.weight += unit.grams[gram]!.weight
    this.hits.push({ gram, index, start })
    // What stands again further on need not begin the stretch.
    while (counts[this.hits[this.first]!.gram]! > 1) this.leave()
    const similarity = this.weight / unit.total
    if (similarity < this.threshold || similarity <= (this.best?.similarity ?? 0)) return
    this.best = this.stretch(similarity, index, end)
    if (similarity > 0.9999) this.settle()
  }

  private stretch(similarity: number, lastIndex: number, end: number): Best {
    let start = end
    for (let at = this.first; at < this.hits.length; at++) start = Math.min(start, this.hits[at]!.start)
    return {
      start,
      end,
      similarity: Math.min(1, similarity),
      firstIndex: this.hits[this.first]!.index,
      lastIndex,
    }
  }

  /** Notes the best stretch, after the last hit too; what is part of it counts for no other. */
  settle(): void {
    const { best } = this
    if (best === null) return
    this.matches.push({ start: best.start, end: best.end, similarity: best.similarity })
    this.best = null
    while (this.first < this.hits.length && this.hits[this.first]!.index <= best.lastIndex) this.leave()
  }

  private leave(): void {
    const { gram } = this.hits[this.first++]!
    if (--this.counts[gram]! === 0) this.weight -= this.unit.grams[gram]!.weight
    if (this.first < KEPT_HITS || this.first * 2 < this.hits.length) return
    this.hits = this.hits.slice(this.first)
    this.first = 0
  }
}
