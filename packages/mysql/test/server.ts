import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { findFreePort } from '@tenantry/test-support'
import { createConnection } from 'mysql2/promise'

/** A server, with the URL of an administrator that has all rights. */
export interface TestServer {
  readonly url: string
  /** Ends the server, if this module started it. */
  stop(): Promise<void>
}

/**
 * Returns the server of `TENANTRY_MYSQL_URL`, else a server that answers at 127.0.0.1:3306, else a MariaDB in a
 * temporary folder, which is installed first where the user may do so.
 *
 * @throws an error with the command that installs a server
 */
export async function findServer(): Promise<TestServer> {
  const configured = process.env.TENANTRY_MYSQL_URL
  if (configured) return { url: configured, stop: async () => {} }
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

function findMariadbd(): string | undefined {
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
    const installed = findMariadbd()
    if (installed) return installed
  } catch {
    // The error below names the command.
  }
  throw new Error(`No MySQL or MariaDB answers. Install one (sudo ${command}), or set TENANTRY_MYSQL_URL`)
}

/**
 * Starts a MariaDB in a temporary folder, without durability.
 *
 * @param more options of `mariadbd`
 * @throws an error with the command that installs a server
 */
export async function startServer(more: readonly string[] = []): Promise<TestServer> {
  const binary = findMariadbd() ?? install()
  const folder = mkdtempSync(path.join(findMemoryFolder() ?? tmpdir(), 'tenantry-mariadb-'))
  // mariadbd refuses to run as root without --user.
  const common = ['--no-defaults', `--datadir=${folder}/db`, `--user=${userInfo().username}`]
  const installer = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve']
  execFileSync('mariadb-install-db', [...common, ...installer], { stdio: 'ignore' })
  const port = await findFreePort()
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

/** A folder in memory, where it has room for a few hundred databases. */
function findMemoryFolder(): string | undefined {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > 4 * 2 ** 30 ? '/dev/shm' : undefined
  } catch {
    return undefined
  }
}
