import path from 'node:path'
import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import { demoTenants, migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { runExample, serveWithWrangler } from '@tenantry-examples/notes/node'
import { startServer } from '@tenantry-examples/notes-node-postgres'

await runExample(async (example) => {
  const folder = example.createTemporaryFolder('tenantry-worker-')
  const server = await startServer(example.createTemporaryFolder('tenantry-notes-postgres-'))
  try {
    const secret = crypto.randomUUID()
    // An operator's script or a control plane does this, straight to the server.
    const factory = createPostgresSchemaFactory<NotesAdapters>({
      connection: server.url,
      isolation: 'set_role',
      secret,
      migrations,
      seed: seedDemo,
    })
    await example.unlessStopped(Promise.all(demoTenants.map(({ id }) => factory.provision(id))))
    await factory.close()

    await serveWithWrangler(example, {
      root: path.join(import.meta.dirname, '..'),
      folder,
      variables: { ROLE_SECRET: secret, DEMO: '1' },
      env: { CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_HYPERDRIVE: server.url },
      onReady: printUrls,
    })
  } finally {
    await server.stop()
  }
})

function printUrls(port: number): void {
  const count = demoTenants.length
  console.log(`\nNotes in a Worker. Each of the ${count} tenants has a PostgreSQL schema of its own.\n`)
  for (const { id } of demoTenants) console.log(`  http://${id}.localhost:${port}/`)
  console.log('\nReady. Press Ctrl-C to stop.\n')
}
