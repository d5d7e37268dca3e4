import { createNotesApp, demoTenants } from '@tenantry-examples/notes'
import { ensureServed } from './ensure-served.ts'
import { openDatabases } from './factory.ts'
import { showIsolation } from './isolation.ts'
import { listen } from './listen.ts'

const wanted = Number(process.env.PORT || 8787)
if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
  throw new Error(`PORT: ${process.env.PORT} is not a valid port`)

// Not `once`: npx and pnpm forward a Ctrl-C that the terminal has sent to this process already, and the second one
// would end it in the middle.
const stopping = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
})

const { factory, place, cleanUp } = openDatabases(process.env)
try {
  // A database each, with its tables and its data.
  await Promise.all(demoTenants.map(({ id }) => ensureServed(factory, id)))
  // Finishes operations of an earlier process, and purges tenants whose retention has ended.
  const { lifecycle } = factory
  await lifecycle?.sweep()
  setInterval(() => void lifecycle?.sweep().catch(console.error), 60_000).unref()

  const app = createNotesApp(factory, {
    baseDomain: 'localhost',
    // Anyone may read and write every tenant here. A real app says `jwt({ secret, alg: 'HS256' })`; see ../notes.
    authenticate: 'anyone',
    ...(lifecycle && { controlPlaneTenantId: 'main' }),
    tenants: demoTenants,
  })
  const server = await listen(app, wanted)
  try {
    const { port } = server
    if (port !== wanted && wanted !== 0) console.log(`Port ${wanted} is taken; using ${port}.`)
    console.log(`\nNotes, with a database for each of ${demoTenants.length} tenants: ${place}\n`)
    console.log(`  http://localhost:${port}/`)
    if (lifecycle) console.log(`  http://localhost:${port}/tenants`)
    for (const { id } of demoTenants) {
      console.log(`  http://localhost:${port}/t/${id}/`)
      console.log(`  http://${id}.localhost:${port}/`)
    }
    console.log('\nOne tenant cannot see the other:\n')
    await showIsolation(port)
    console.log('\nReady. Ctrl-C stops.')
    await stopping
  } finally {
    await server.close()
  }
} finally {
  await factory.close()
  await cleanUp()
}
console.log('\nStopped.')
