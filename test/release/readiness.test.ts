/** A release is refused whose tag, versions and changelog do not agree. */
import { describe, expect, test } from 'vitest'
import { releaseReadiness } from '../../release/readiness.ts'

const good = {
  tag: 'v0.2.0',
  packageJson: '{"version": "0.2.0"}',
  packageLock: '{"version": "0.2.0", "packages": {"": {"version": "0.2.0"}}}',
  changelog:
    '# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-24\n\n### Added\n- More.\n\n## [0.1.0] - 2026-10-01\n- It.\n',
}

describe('a release', () => {
  test('is ready when all agree, and its notes are the section on it', () => {
    const notes = '### Added\n- More.'
    expect(releaseReadiness(good)).toEqual({ version: '0.2.0', problems: [], notes })
    expect(releaseReadiness({ ...good, tag: null }).problems).toEqual([])
  })

  test.each([
    ['another tag', { tag: 'v0.3.0' }, /the tag is v0\.3\.0, package\.json says 0\.2\.0/],
    ['a tag without its v', { tag: '0.2.0' }, /tag it v0\.2\.0/],
    [
      'an old lock',
      { packageLock: good.packageLock.replace('0.2.0', '0.1.0') },
      /package-lock\.json is of 0\.1\.0/,
    ],
    ['a package kept private', { packageJson: '{"version": "0.2.0", "private": true}' }, /private/],
    ['no section', { changelog: good.changelog.replace('[0.2.0]', '[0.2.1]') }, /no section "## \[0\.2\.0\]/],
    ['no day', { changelog: good.changelog.replace(' - 2026-11-24', '') }, /has no day/],
    ['a day that is none', { changelog: good.changelog.replace('2026-11-24', '2026-13-45') }, /has no day/],
    ['nothing to say', { changelog: good.changelog.replace('### Added\n- More.\n', '') }, /says nothing/],
    [
      'changes left unreleased',
      { changelog: good.changelog.replace('[Unreleased]\n', '[Unreleased]\n- New.\n') },
      /\[Unreleased\] is not empty/,
    ],
    [
      'nowhere for the next ones',
      { changelog: good.changelog.replace('## [Unreleased]\n', '') },
      /first section/,
    ],
  ])('is refused with %s', (_what, change, problem) => {
    expect(releaseReadiness({ ...good, ...change }).problems).toEqual([expect.stringMatching(problem)])
  })
})

test('a version that npm would not take is refused', () => {
  const readiness = releaseReadiness({ ...good, tag: null, packageJson: '{"version": "0.2"}' })
  expect(readiness.problems[0]).toBe('package.json: "0.2" is not a semantic version')
})
