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

function measureRequests(port: string, path: string): () => Promise<number> {
  return async () => {
    const result = await autocannon({
      url: `http://127.0.0.1:${port}`,
      connections: 20,
      duration: SECONDS,
      requests: TENANTS.map((id) => ({ path, headers: { host: `${id}.example.com` } })),
    })
    if (result.non2xx > 0) throw new Error(`${result.non2xx} responses of ${path} were not 2xx`)
    return result.requests.average
  }
}

/** Requests served by a D1 binding in workerd: the bare binding, our client over it, and all of Tenantry. */
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
    const provisioning = request({
      host: '127.0.0.1',
      port,
      path: '/provision',
      method: 'POST',
      headers,
    }).end()
    const [response] = (await once(provisioning, 'response')) as [IncomingMessage]
    if (response.statusCode !== 204) throw new Error(`${id} was not provisioned: ${response.statusCode}`)
    response.resume()
  }
  const rivals = {
    direct: measureRequests(port, '/direct'),
    client: measureRequests(port, '/client'),
    bare: measureRequests(port, '/bare'),
    directPrivate: measureRequests(port, '/direct-private'),
    whole: measureRequests(port, '/whole'),
  }
  await byTurns(rivals, 1)
  const perSeconds = await byTurns(rivals, ROUNDS)
  const reportLine = (
    subject: string,
    ours: keyof typeof rivals,
    rival: keyof typeof rivals,
    aim: string,
  ): void => {
    const [ourRate = 0, rivalRate = 1] = [perSeconds[ours], perSeconds[rival]]
    const detail = `${Math.round(ourRate)} against ${Math.round(rivalRate)} requests/s`
    report(`D1 binding in a Worker: ${subject}`, ourRate / rivalRate, aim, detail)
  }
  reportLine('our client', 'client', 'direct', '≥ 0.95')
  reportLine('the whole request', 'bare', 'direct', '≥ 0.95')
  reportLine('both with private cache headers', 'whole', 'directPrivate', '≥ 0.95')
  reportLine('with cache headers against without', 'whole', 'direct', '')
  console.log(`   (all of it sent ${emulator.requests.length} requests to Cloudflare's API)`)
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
