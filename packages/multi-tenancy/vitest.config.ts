import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'multi-tenancy', include: ['test/**/*.test.ts'] } })
