import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startTursoEmulator } from '@tenantry/emulators'
import { createTursoFactory } from '@tenantry/turso'
import { demoTenants, migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startWrangler } from './wrangler.ts'

const wanted = Number(process.env.PORT || 8787)
if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
  throw new Error(`PORT: ${process.env.PORT} is not a valid port`)

// Not `once`: pnpm forwards a Ctrl-C that the terminal has sent to this process already.
const stopping = new Promise<'stopped'>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('stopped'))
})

const directory = await mkdtemp(path.join(tmpdir(), 'tenantry-worker-'))
const emulator = await startTursoEmulator()
try {
  // What an operator's script or a control plane does against the real service.
  const factory = createTursoFactory<NotesAdapters>({
    organizationName: emulator.organization,
    apiToken: emulator.apiToken,
    fetch: emulator.fetch,
    migrations,
    seed: seedDemo,
  })
  await Promise.all(demoTenants.map(({ id }) => factory.provision(id)))
  await factory.close()

  const wrangler = await startWrangler(wanted, directory, {
    TURSO_ORGANIZATION: emulator.organization,
    TURSO_API_TOKEN: emulator.apiToken,
    TURSO_EMULATOR_URL: emulator.url,
  })
  try {
    const ended = wrangler.ended.then(() => 'ended' as const)
    if ((await Promise.race([wrangler.ready, ended, stopping])) === 'ready') {
      const { port } = wrangler
      if (port !== wanted && wanted !== 0) console.log(`Port ${wanted} is taken; using ${port}.`)
      console.log(
        `\nNotes in a Worker, with a Turso database (emulated) for each of ${demoTenants.length} tenants.\n`,
      )
      console.log(`  http://localhost:${port}/`)
      for (const { id } of demoTenants) {
        console.log(`  http://localhost:${port}/t/${id}/`)
        console.log(`  http://${id}.localhost:${port}/`)
      }
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
