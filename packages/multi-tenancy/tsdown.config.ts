import { defineConfig, type UserConfig } from 'tsdown'
import { base } from '../../tsdown.base.ts'

const config: UserConfig = { ...base, entry: { index: 'src/index.ts', memory: 'src/memory/index.ts' } }

export default defineConfig(config)
