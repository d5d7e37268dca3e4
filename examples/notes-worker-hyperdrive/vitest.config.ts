import { defineProject } from 'vitest/config'

export default defineProject({
  test: {
    name: 'notes-worker-hyperdrive',
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
  },
})
