import { defineConfig, type UserConfig } from 'tsdown'
import { base } from '../../tsdown.base.ts'

const config: UserConfig = {
  ...base,
  // `client` is for Workers too: it imports nothing, so the platform changes nothing in it.
  platform: 'node',
  entry: {
    index: 'src/index.ts',
    client: 'src/client.ts',
    bin: 'src/bin.ts',
    'cloudflare-host': 'src/cloudflare/host.ts',
    'cloudflare-worker': 'src/cloudflare/worker/main.ts',
  },
  deps: { neverBundle: [/^node:/, /^cloudflare:/] },
}

export default defineConfig(config)
