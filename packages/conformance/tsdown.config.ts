import { defineConfig } from 'tsdown'
import { base } from '../../tsdown.base.ts'

export default defineConfig({
  ...base,
  entry: { index: 'src/index.ts', crash: 'src/crash/index.ts', 'crash-child': 'src/crash/child-process.ts' },
})
