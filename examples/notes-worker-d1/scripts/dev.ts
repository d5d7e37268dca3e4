import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startCloudflareEmulator } from '@tenantry/emulators'
import { demoTenants } from '@tenantry-examples/notes'
import { startWrangler } from './wrangler.ts'

const [, , way = 'dispatch'] = process.argv
if (way !== 'dispatch' && way !== 'rest') throw new Error('Say dispatch or rest')
const wanted = Number(process.env.PORT || 8787)
if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
  throw new Error(`PORT: ${process.env.PORT} is not a valid port`)

// Not `once`: pnpm forwards a Ctrl-C that the terminal has sent to this process already.
const stopping = new Promise<'stopped'>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('stopped'))
})

const NAMESPACE = 'notes-tenants'
const directory = await mkdtemp(path.join(tmpdir(), 'tenantry-worker-'))
const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
try {
  const wrangler = await startWrangler(wanted, directory, {
    CLOUDFLARE_ACCOUNT_ID: emulator.accountId,
    CLOUDFLARE_API_TOKEN: emulator.apiToken,
    CLOUDFLARE_EMULATOR_URL: emulator.url,
    ...(way === 'dispatch' ? { NAMESPACE, DISPATCH_SECRET: randomBytes(32).toString('hex') } : {}),
  })
  try {
    const ended = wrangler.ended.then(() => 'ended' as const)
    if ((await Promise.race([wrangler.ready, ended, stopping])) === 'ready') {
      const { port } = wrangler
      // The Worker creates them while it runs.
      for (const { id } of demoTenants) await makeTenant(port, id)
      if (port !== wanted && wanted !== 0) console.log(`Port ${wanted} is taken; using ${port}.`)
      const reached = way === 'dispatch' ? 'through a Worker of its own' : 'over REST'
      console.log(`\nNotes in a Worker, with a D1 database (emulated) for each tenant, reached ${reached}.\n`)
      console.log(`  http://localhost:${port}/`)
      for (const { id } of demoTenants) {
        console.log(`  http://localhost:${port}/t/${id}/`)
        console.log(`  http://${id}.localhost:${port}/`)
      }
      console.log(`\nAnother tenant: curl -X POST http://localhost:${port}/tenants/initech`)
      console.log('\nReady. Ctrl-C stops.\n')
      wrangler.showOutput()
    }
    if ((await Promise.race([ended, stopping])) === 'ended') {
      console.error(wrangler.output())
      process.exitCode = 1
    }
  } finally {
    await wrangler.stop()
  }
} finally {
  await emulator.close()
  await rm(directory, { recursive: true, force: true })
}
console.log('\nStopped.')

async function makeTenant(port: number, id: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/tenants/${id}`, { method: 'POST' })
  if (response.status !== 201)
    throw new Error(`${id} was not created: ${response.status} ${await response.text()}`)
}
