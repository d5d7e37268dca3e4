import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { createTempFolder, findFreePort } from '@tenantry/test-support'

/** A PgBouncer of the test's own, in front of one database. */
export interface PgBouncer {
  readonly host: '127.0.0.1'
  readonly port: number
  stop(): Promise<void>
}

const program = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin']
  .map((folder) => path.join(folder, 'pgbouncer'))
  .find((file) => existsSync(file))

/** The reason why the tests behind a pooler cannot run here. Each file prints it. */
export const withoutPgBouncer: string | undefined =
  program === undefined ? 'no pgbouncer on the PATH (Debian: apt install pgbouncer)' : undefined

export async function startPgBouncer(
  url: string,
  {
    mode = 'transaction',
    size = 1,
    settings = [],
    database: databaseSettings = '',
  }: {
    mode?: 'transaction' | 'session'
    size?: number
    settings?: readonly string[]
    /** Further settings in the line of the database. */
    database?: string
  } = {},
): Promise<PgBouncer> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(url)
  const database = pathname.slice(1)
  const folder = createTempFolder('pgbouncer')
  const port = await findFreePort()
  const ini = path.join(folder, 'pgbouncer.ini')
  writeFileSync(path.join(folder, 'users'), `"${username}" "${decodeURIComponent(password)}"\n`)
  writeFileSync(
    ini,
    [
      '[databases]',
      `${database} = host=${hostname} port=${serverPort || 5432} dbname=${database} ${databaseSettings}`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1`,
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${path.join(folder, 'users')}`,
      `auth_user = ${username}`,
      'auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1',
      `pool_mode = ${mode}`,
      `default_pool_size = ${size}`,
      'max_client_conn = 500',
      'query_wait_timeout = 20',
      'server_lifetime = 60',
      'ignore_startup_parameters = extra_float_digits,options',
      'log_connections = 0',
      'log_disconnections = 0',
      ...settings,
    ].join('\n'),
  )
  chmodSync(folder, 0o755)
  // PgBouncer refuses to run as root.
  const asRoot = process.getuid?.() === 0
  const child: ChildProcess = spawn(program ?? '', [ini], {
    stdio: 'ignore',
    ...(asRoot ? { uid: 65534, gid: 65534 } : {}),
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await Promise.race([
    waitForServer(port),
    ended.then(() => {
      throw new Error('PgBouncer ended')
    }),
  ])
  return {
    host: '127.0.0.1',
    port,
    async stop() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function waitForServer(port: number): Promise<void> {
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
