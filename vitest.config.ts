import { defineConfig } from 'vitest/config'

const shared = { testTimeout: 20_000, hookTimeout: 20_000 }

export default defineConfig({
  test: {
    reporters: ['default', './test/support/skip-reporter.ts'],
    projects: [
      { test: { ...shared, name: 'node', include: ['test/**/*.test.ts'], exclude: ['test/worker/**'] } },
      {
        // The data plane's files once more, on the runtime of Cloudflare's Workers, and what is of the Worker alone.
        test: {
          ...shared,
          name: 'workerd',
          include: ['test/http/**/*.test.ts', 'test/contract/**/*.test.ts', 'test/worker/**/*.test.ts'],
          env: { BALLAST_RUNTIME: 'workerd' },
          globalSetup: './test/support/worker-bundle.ts',
          setupFiles: './test/support/workerd-setup.ts',
        },
      },
    ],
  },
})
