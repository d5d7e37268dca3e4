import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: '__name__', include: ['test/**/*.test.ts'] } })
