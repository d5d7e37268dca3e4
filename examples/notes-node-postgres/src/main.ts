import { createNotesApp, demoTenants } from '@tenantry-examples/notes'
import { listen, runExample } from '@tenantry-examples/notes/node'
import { openDatabases } from './factory.ts'

await runExample(async (example) => {
  const { factory, location, close } = await openDatabases(process.env, example.createTemporaryFolder)
  try {
    // Creates each tenant's schema with its tables and data, unless an earlier run of the demo did.
    await example.unlessStopped(Promise.all(demoTenants.map(({ id }) => factory.provision(id))))
    // Every caller may read and write every tenant here. A real app passes a verifier of tokens; see ../notes.
    const app = createNotesApp(factory, {
      baseDomain: 'localhost',
      authenticate: 'anyone',
      tenants: demoTenants,
    })
    const server = await listen(app, example.port)
    try {
      console.log(
        `\nNotes. Each of the ${demoTenants.length} tenants has a schema of its own in ${location}.\n`,
      )
      for (const { id } of demoTenants) console.log(`  http://${id}.localhost:${server.port}/`)
      console.log('\nReady. Press Ctrl-C to stop.')
      await example.stopped
    } finally {
      await server.close()
    }
  } finally {
    await close()
  }
})
