import { defineProject } from 'vitest/config'

export default defineProject({
  test: {
    name: 'postgres-schema',
    include: ['test/**/*.test.ts'],
    // Each file makes databases, and a busy server takes its time.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
