import { defineProject } from 'vitest/config'

export default defineProject({
  test: { name: 'notes-node-mysql', include: ['test/**/*.test.ts'], testTimeout: 60_000 },
})
