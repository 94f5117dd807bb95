/** What must agree before a version is published: tag, package.json, package-lock.json and CHANGELOG.md. Used by `check.ts`. */

export interface ReleaseTexts {
  /** Such as `v0.2.0`; null where nothing is tagged yet. */
  readonly tag: string | null
  readonly packageJson: string
  readonly packageLock: string
  readonly changelog: string
}

export interface Readiness {
  readonly version: string
  /** What speaks against the release; empty when nothing does. */
  readonly problems: readonly string[]
  /** The changelog's section on the version, without its heading; `''` where there is none. */
  readonly notes: string
}

/** Without build metadata, which npm drops. */
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/
const HEADING = /^## \[(.+?)\](?: - (.+))?$/
const DAY = /^\d{4}-\d{2}-\d{2}$/

/** @throws SyntaxError when one of the JSON files is none. */
export function releaseReadiness({ tag, packageJson, packageLock, changelog }: ReleaseTexts): Readiness {
  const { version, private: isPrivate } = JSON.parse(packageJson) as { version: string; private?: boolean }
  const lock = JSON.parse(packageLock) as { version: string; packages: Record<string, { version?: string }> }
  const problems: string[] = []
  if (!SEMVER.test(version)) problems.push(`package.json: "${version}" is not a semantic version`)
  if (isPrivate === true) problems.push('package.json: `private: true` keeps npm from publishing it')
  if (tag !== null && tag !== `v${version}`) {
    problems.push(`the tag is ${tag}, package.json says ${version}: tag it v${version}, or run npm version`)
  }
  if (lock.version !== version || lock.packages['']?.version !== version) {
    problems.push(`package-lock.json is of ${lock.version}: run npm install --package-lock-only`)
  }

  const sections = readSections(changelog)
  const section = sections.find(({ name }) => name === version)
  if (sections[0]?.name !== 'Unreleased') problems.push('CHANGELOG.md: the first section is not [Unreleased]')
  else if (sections[0].text !== '')
    problems.push(`CHANGELOG.md: [Unreleased] is not empty: move it to [${version}]`)
  if (section === undefined) problems.push(`CHANGELOG.md: there is no section "## [${version}] - YYYY-MM-DD"`)
  else if (!isDay(section.day)) problems.push(`CHANGELOG.md: [${version}] has no day such as 2026-11-24`)
  else if (section.text === '') problems.push(`CHANGELOG.md: [${version}] says nothing`)
  return { version, problems, notes: section?.text ?? '' }
}

function isDay(text: string | null): boolean {
  return text !== null && DAY.test(text) && !Number.isNaN(Date.parse(text))
}

function readSections(changelog: string): { name: string; day: string | null; text: string }[] {
  const sections: { name: string; day: string | null; lines: string[] }[] = []
  for (const line of changelog.split('\n')) {
    const heading = HEADING.exec(line)
    if (heading !== null) sections.push({ name: heading[1]!, day: heading[2] ?? null, lines: [] })
    else sections.at(-1)?.lines.push(line)
  }
  return sections.map(({ name, day, lines }) => ({ name, day, text: lines.join('\n').trim() }))
}
