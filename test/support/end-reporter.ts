/** Ends a test run with a line for each suite that was skipped, whose name says what it needs, and for each test that passed only at a second try. */
import type { Reporter, TestModule } from 'vitest/node'

export default class EndReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const suite = test.parent.type === 'suite' ? test.parent.fullName : test.fullName
        skipped.set(suite, (skipped.get(suite) ?? 0) + 1)
      }
    }
    for (const [suite, tests] of skipped) process.stdout.write(` skipped ${tests} tests: ${suite}\n`)
    for (const module of modules) {
      for (const test of module.children.allTests('passed'))
        if (test.diagnostic()?.flaky)
          process.stdout.write(
            ` passed at a second try: ${module.project.name} ${module.relativeModuleId} > ${test.fullName}\n`,
          )
    }
  }
}
