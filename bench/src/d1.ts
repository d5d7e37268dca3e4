import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { startCloudflareEmulator } from '@tenantry/emulators'
import autocannon from 'autocannon'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { byTurns, report } from './ratio.ts'

const SECONDS = 1
const ROUNDS = 15
const TENANTS = ['acme', 'globex']

async function bundle(
  entry: { entryPoints: string[] } | { stdin: { contents: string; resolveDir: string } },
): Promise<string> {
  const { outputFiles } = await build({
    ...entry,
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
  })
  return outputFiles[0]?.text ?? ''
}

function perSecond(port: string, path: string): () => Promise<number> {
  return async () => {
    const result = await autocannon({
      url: `http://127.0.0.1:${port}`,
      connections: 20,
      duration: SECONDS,
      requests: TENANTS.map((id) => ({ path, headers: { host: `${id}.example.com` } })),
    })
    if (result.non2xx > 0) throw new Error(`${result.non2xx} answers of ${path} were not 2xx`)
    return result.requests.average
  }
}

/** A request by a D1 binding, in workerd: the binding used directly, our client over it, all of Tenantry. */
export async function d1(): Promise<void> {
  const emulator = await startCloudflareEmulator()
  const names = TENANTS.map((id) => `DB_TENANT_${id.toUpperCase()}`)
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundle({ entryPoints: [new URL('d1-worker.ts', import.meta.url).pathname] }),
      compatibilityDate: '2026-04-01',
      d1Databases: Object.fromEntries(names.map((name) => [name, name])),
      bindings: { ACCOUNT_ID: emulator.accountId, API_TOKEN: emulator.apiToken, BASE_URL: emulator.baseUrl },
    }),
  )
  const { port } = await worker.ready
  for (const id of TENANTS) {
    const headers = { host: `${id}.example.com` }
    const sent = request({ host: '127.0.0.1', port, path: '/provision', method: 'POST', headers }).end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    if (answer.statusCode !== 204) throw new Error(`${id} was not provisioned: ${answer.statusCode}`)
    answer.resume()
  }
  const rivals = {
    direct: perSecond(port, '/direct'),
    client: perSecond(port, '/client'),
    bare: perSecond(port, '/bare'),
    directPrivate: perSecond(port, '/direct-private'),
    whole: perSecond(port, '/whole'),
  }
  await byTurns(rivals, 1)
  const perSeconds = await byTurns(rivals, ROUNDS)
  const line = (what: string, ours: keyof typeof rivals, rival: keyof typeof rivals, aim: string): void => {
    const [mine = 0, theirs = 1] = [perSeconds[ours], perSeconds[rival]]
    const detail = `${Math.round(mine)} against ${Math.round(theirs)} requests/s`
    report(`D1 binding in a Worker: ${what}`, mine / theirs, aim, detail)
  }
  line('our client', 'client', 'direct', '≥ 0.95')
  line('the whole request', 'bare', 'direct', '≥ 0.95')
  line('both with private cache headers', 'whole', 'directPrivate', '≥ 0.95')
  line('with cache headers against without', 'whole', 'direct', '')
  const sent = emulator.requests.length
  console.log(`   (Cloudflare's API was asked ${sent} times in all of it)`)
  await worker.dispose()
  await emulator.close()

  const code = await bundle({
    stdin: {
      contents: `export { createD1Factory } from '@tenantry/d1'; export { createMultiTenancyMiddleware } from '@tenantry/multi-tenancy'`,
      resolveDir: import.meta.dirname,
    },
  })
  const kilobytes = (bytes: number): string => (bytes / 1_024).toFixed(1)
  const size = `${kilobytes(gzipSync(code, { level: 9 }).length)} KB gzipped, ${kilobytes(code.length)} KB minified`
  console.log(`A Worker's bundle of core + d1, with Kysely and the cloudflare SDK: ${size}`)
}

if (process.argv[1] === import.meta.filename) await d1()
