import { createNotesApp, demoTenants } from '@tenantry-examples/notes'
import { listen, runExample } from '@tenantry-examples/notes/node'
import { ensureServed } from './ensure-served.ts'
import { openDatabases } from './factory.ts'
import { showIsolation } from './isolation.ts'

await runExample(async (example) => {
  const { factory, location, close } = openDatabases(process.env, example.createTemporaryFolder)
  try {
    const { lifecycle } = factory
    // Creates each tenant's database with its tables and data, unless an earlier run of the demo did.
    await example.unlessStopped(Promise.all(demoTenants.map(({ id }) => ensureServed(factory, id))))
    // Finishes operations of an earlier process, and purges tenants whose retention has ended.
    await lifecycle?.sweep()
    setInterval(() => void lifecycle?.sweep().catch(console.error), 60_000).unref()

    const app = createNotesApp(factory, {
      baseDomain: 'localhost',
      // Every caller may read and write every tenant here. A real app passes a verifier of tokens; see ../notes.
      authenticate: 'anyone',
      ...(lifecycle && { controlPlaneTenantId: 'main' }),
      tenants: demoTenants,
    })
    const server = await listen(app, example.port)
    try {
      const { port } = server
      console.log(
        `\nNotes. Each of the ${demoTenants.length} tenants has a database of its own in ${location}.\n`,
      )
      console.log(`  http://localhost:${port}/`)
      if (lifecycle) console.log(`  http://localhost:${port}/tenants`)
      for (const { id } of demoTenants) {
        console.log(`  http://localhost:${port}/t/${id}/`)
        console.log(`  http://${id}.localhost:${port}/`)
      }
      console.log('\nRequests that try to read the data of another tenant:\n')
      await showIsolation(port)
      console.log('\nReady. Press Ctrl-C to stop.')
      await example.stopped
    } finally {
      await server.close()
    }
  } finally {
    await close()
  }
})
