import { defineProject } from 'vitest/config'

export default defineProject({
  // Each test starts the demo as a process of its own, some more than once.
  test: { name: 'notes-node', include: ['test/**/*.test.ts'], testTimeout: 60_000 },
})
