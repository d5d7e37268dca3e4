import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'notes', include: ['test/**/*.test.ts'] } })
