import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const MINUTES = 60_000
const shared = {
  testTimeout: 3 * MINUTES,
  hookTimeout: 3 * MINUTES,
  // On a busy machine of others a process may stand still for long; whatever needed a second try is listed at the end.
  retry: process.env.BALLAST_REQUIRE_ALL === '1' ? 1 : 0,
}
/** Many tests start ballast, as a process or with the thread of its back office: a third of that is compiling it. */
const NODE_COMPILE_CACHE = join(import.meta.dirname, 'node_modules/.cache/compiled')

export default defineConfig({
  test: {
    // Of the tests' time much is waiting.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ['default', './test/support/end-reporter.ts'],
    projects: [
      {
        test: {
          ...shared,
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/worker/**'],
          env: { NODE_COMPILE_CACHE },
        },
      },
      {
        // The data plane's files once more, on the runtime of Cloudflare's Workers, and what is of the Worker alone.
        test: {
          ...shared,
          name: 'workerd',
          include: ['test/http/**/*.test.ts', 'test/contract/**/*.test.ts', 'test/worker/**/*.test.ts'],
          env: { NODE_COMPILE_CACHE, BALLAST_RUNTIME: 'workerd' },
          globalSetup: './test/support/worker-bundle.ts',
          setupFiles: './test/support/workerd-setup.ts',
        },
      },
    ],
  },
})
