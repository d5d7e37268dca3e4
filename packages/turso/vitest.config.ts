import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'turso', include: ['test/**/*.test.ts'] } })
