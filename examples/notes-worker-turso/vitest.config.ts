import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'notes-worker-turso', include: ['test/**/*.test.ts'] } })
