import { defineConfig } from 'tsdown'
import { base } from '../../tsdown.base.ts'

export default defineConfig({
  ...base,
  // A file for each module: what a bundler leaves out, it leaves out whole, imports and all.
  unbundle: true,
  entry: {
    index: 'src/index.ts',
    catalog: 'src/catalog.ts',
    provider: 'src/provider.ts',
    memory: 'src/memory/index.ts',
  },
})
