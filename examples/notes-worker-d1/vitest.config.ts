import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'notes-worker-d1', include: ['test/**/*.test.ts'] } })
