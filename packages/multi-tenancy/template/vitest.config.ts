import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'PROVIDER_NAME', include: ['test/**/*.test.ts'] } })
