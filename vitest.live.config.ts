import { defineConfig } from 'vitest/config'

/** The conformance suite against real accounts: each file says which variables it needs, and fails without them. */
export default defineConfig({
  test: {
    include: ['packages/*/test/live/*.live.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    fileParallelism: false,
  },
})
