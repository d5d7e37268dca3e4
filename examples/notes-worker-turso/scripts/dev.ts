import path from 'node:path'
import { startTursoEmulator } from '@tenantry/emulators'
import { createTursoFactory } from '@tenantry/turso'
import { demoTenants, migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { runExample, serveWithWrangler } from '@tenantry-examples/notes/node'

await runExample(async (example) => {
  const folder = example.createTemporaryFolder('tenantry-worker-')
  const emulator = await startTursoEmulator()
  try {
    // Against the real service, an operator's script or a control plane does this.
    const factory = createTursoFactory<NotesAdapters>({
      organizationName: emulator.organization,
      apiToken: emulator.apiToken,
      fetch: emulator.fetch,
      migrations,
      seed: seedDemo,
    })
    await example.unlessStopped(Promise.all(demoTenants.map(({ id }) => factory.provision(id))))
    await factory.close()

    await serveWithWrangler(example, {
      root: path.join(import.meta.dirname, '..'),
      folder,
      variables: {
        TURSO_ORGANIZATION: emulator.organization,
        TURSO_API_TOKEN: emulator.apiToken,
        TURSO_EMULATOR_URL: emulator.url,
      },
      onReady: printUrls,
    })
  } finally {
    await emulator.close()
  }
})

function printUrls(port: number): void {
  const count = demoTenants.length
  console.log(
    `\nNotes in a Worker. Each of the ${count} tenants has a Turso database of its own (emulated).\n`,
  )
  console.log(`  http://localhost:${port}/`)
  for (const { id } of demoTenants) {
    console.log(`  http://localhost:${port}/t/${id}/`)
    console.log(`  http://${id}.localhost:${port}/`)
  }
  console.log('\nReady. Press Ctrl-C to stop.\n')
}
