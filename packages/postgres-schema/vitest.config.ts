import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'postgres-schema', include: ['test/**/*.test.ts'] } })
