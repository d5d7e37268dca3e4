import { defineProject } from 'vitest/config'

export default defineProject({
  test: {
    name: 'multi-tenancy',
    include: ['test/**/*.test.ts'],
    // Catalogs are created on real servers, and a busy machine takes its time.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
