import { defineProject } from 'vitest/config'

export default defineProject({
  test: {
    name: 'postgres-schema',
    include: ['test/**/*.test.ts'],
    // Each file creates databases, which takes long on a busy server.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
