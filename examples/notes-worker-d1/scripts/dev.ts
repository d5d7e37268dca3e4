import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { startCloudflareEmulator } from '@tenantry/emulators'
import { demoTenants } from '@tenantry-examples/notes'
import { runExample, serveWithWrangler } from '@tenantry-examples/notes/node'

const [, , access = 'dispatch'] = process.argv
if (access !== 'dispatch' && access !== 'rest') {
  throw new Error(`The argument is "${access}", but must be dispatch or rest`)
}
const NAMESPACE = 'notes-tenants'

await runExample(async (example) => {
  const folder = example.createTemporaryFolder('tenantry-worker-')
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  try {
    await serveWithWrangler(example, {
      root: path.join(import.meta.dirname, '..'),
      folder,
      variables: {
        CLOUDFLARE_ACCOUNT_ID: emulator.accountId,
        CLOUDFLARE_API_TOKEN: emulator.apiToken,
        CLOUDFLARE_EMULATOR_URL: emulator.url,
        ...(access === 'dispatch' && { NAMESPACE, DISPATCH_SECRET: randomBytes(32).toString('hex') }),
      },
      async onReady(port) {
        // The running Worker creates the tenants.
        for (const { id } of demoTenants) await example.unlessStopped(createTenant(port, id))
        printUrls(port)
      },
    })
  } finally {
    await emulator.close()
  }
})

async function createTenant(port: number, id: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/tenants/${id}`, { method: 'POST' })
  if (response.status !== 201) {
    throw new Error(`The tenant ${id} was not created: ${response.status} ${await response.text()}`)
  }
}

function printUrls(port: number): void {
  const reached = access === 'dispatch' ? 'through a Worker of its own' : 'over REST'
  console.log(`\nNotes in a Worker. Each tenant has a D1 database (emulated), reached ${reached}.\n`)
  console.log(`  http://localhost:${port}/`)
  for (const { id } of demoTenants) {
    console.log(`  http://localhost:${port}/t/${id}/`)
    console.log(`  http://${id}.localhost:${port}/`)
  }
  console.log(`\nTo create another tenant: curl -X POST http://localhost:${port}/tenants/initech`)
  console.log('\nReady. Press Ctrl-C to stop.\n')
}
