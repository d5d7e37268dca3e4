import { defineProject } from 'vitest/config'

export default defineProject({
  test: {
    name: 'mysql',
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/global-setup.ts',
    testTimeout: 60_000,
  },
})
