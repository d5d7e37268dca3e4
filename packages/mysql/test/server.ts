import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { createConnection } from 'mysql2/promise'

/** A server whose administrator may do everything. */
export interface TestServer {
  readonly url: string
  /** Ends it, if it was started here. */
  stop(): Promise<void>
}

/**
 * The server of the environment (`TENANTRY_MYSQL_URL`); else one that answers at the usual place; else a MariaDB of
 * its own in a temporary folder, installed first where that can be done.
 *
 * @throws with the one command that helps
 */
export async function findServer(): Promise<TestServer> {
  const given = process.env.TENANTRY_MYSQL_URL
  if (given) return { url: given, stop: async () => {} }
  const usual = 'mysql://root@127.0.0.1:3306'
  if (await answers(usual)) return { url: usual, stop: async () => {} }
  return startServer()
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await createConnection(url)
    await connection.query('SELECT 1')
    await connection.end()
    return true
  } catch {
    return false
  }
}

function mariadbd(): string | undefined {
  try {
    return execFileSync('sh', ['-c', 'PATH="$PATH:/usr/sbin" command -v mariadbd'], {
      encoding: 'utf8',
    }).trim()
  } catch {
    return undefined
  }
}

function install(): string {
  const command = 'apt-get install -y mariadb-server-core'
  try {
    if (userInfo().uid !== 0) throw new Error('not root')
    execFileSync('sh', ['-c', command], {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
    const found = mariadbd()
    if (found) return found
  } catch {
    // Told below.
  }
  throw new Error(`No MySQL or MariaDB answers. Install one (sudo ${command}), or set TENANTRY_MYSQL_URL`)
}

/**
 * A fresh MariaDB that keeps nothing.
 *
 * @param more options of `mariadbd`
 * @throws with the one command that helps
 */
export async function startServer(more: readonly string[] = []): Promise<TestServer> {
  const binary = mariadbd() ?? install()
  const folder = mkdtempSync(path.join(inMemory() ?? tmpdir(), 'tenantry-mariadb-'))
  // mariadbd refuses to run as root unless told so.
  const common = ['--no-defaults', `--datadir=${folder}/db`, `--user=${userInfo().username}`]
  const installer = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve']
  execFileSync('mariadb-install-db', [...common, ...installer], { stdio: 'ignore' })
  const port = await freePort()
  const server = spawn(
    binary,
    [
      ...common,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${folder}/s.sock`,
      `--pid-file=${folder}/p.pid`,
      '--skip-name-resolve',
      '--innodb-flush-log-at-trx-commit=0',
      ...more,
    ],
    { stdio: 'ignore' },
  )
  const exited = once(server, 'exit')
  const url = `mysql://root@127.0.0.1:${port}`
  const until = Date.now() + 30_000
  while (!(await answers(url))) {
    if (server.exitCode !== null || Date.now() > until) throw new Error('mariadbd did not start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    url,
    async stop() {
      server.kill()
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A folder that no disk is waited for, where there is one with room for a few hundred databases. */
function inMemory(): string | undefined {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > 4 * 2 ** 30 ? '/dev/shm' : undefined
  } catch {
    return undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
