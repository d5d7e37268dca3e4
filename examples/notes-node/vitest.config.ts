import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'notes-node', include: ['test/**/*.test.ts'] } })
