import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { createConnection } from 'mysql2/promise'

/**
 * A MariaDB server of the demo's own, in a folder that goes when it stops.
 *
 * @throws with the command that installs it
 */
export async function startServer(): Promise<{ url: string; folder: string; stop(): Promise<void> }> {
  const binary = find('mariadbd')
  const installer = find('mariadb-install-db')
  if (!binary || !installer)
    throw new Error('No MariaDB here: apt-get install mariadb-server-core, or set MYSQL_URL and USER_SECRET')
  const folder = mkdtempSync(path.join(tmpdir(), 'tenantry-notes-mysql-'))
  const common = ['--no-defaults', `--datadir=${folder}/data`, `--user=${userInfo().username}`]
  const ways = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve']
  execFileSync(installer, [...common, ...ways], { stdio: 'ignore' })
  const port = await freePort()
  const files = [`--socket=${folder}/s.sock`, `--pid-file=${folder}/p.pid`]
  // Detached: Ctrl-C in a terminal goes to every process there, and this one is to outlive the app's last statement.
  const server = spawn(binary, [...common, ...files, `--port=${port}`, '--bind-address=127.0.0.1', '--skip-name-resolve'], {
    stdio: 'ignore',
    detached: true,
  }) // biome-ignore format: one command
  const exited = once(server, 'exit')
  const url = `mysql://root@127.0.0.1:${port}`
  for (let tries = 300; !(await answers(url)); tries--) {
    if (tries === 0 || server.exitCode !== null) throw new Error('The MariaDB server did not start')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    url,
    folder,
    async stop() {
      server.kill()
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function find(command: string): string | undefined {
  try {
    const line = `PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v ${command}`
    return execFileSync('sh', ['-c', line], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await createConnection(url)
    await connection.end()
    return true
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
