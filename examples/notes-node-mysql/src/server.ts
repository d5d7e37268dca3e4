import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { ExampleError, findFreePort } from '@tenantry-examples/notes/node'
import { createConnection } from 'mysql2/promise'

/**
 * Starts a MariaDB server that keeps its data in the folder.
 *
 * @throws when MariaDB is not installed, with the command that installs it
 */
export async function startServer(
  folder: string,
): Promise<{ url: string; folder: string; stop(): Promise<void> }> {
  const binary = find('mariadbd')
  const installer = find('mariadb-install-db')
  if (!binary || !installer)
    throw new ExampleError(
      'MariaDB is not installed: run apt-get install mariadb-server-core, or set MYSQL_URL and USER_SECRET.',
    )
  const common = ['--no-defaults', `--datadir=${folder}/data`, `--user=${userInfo().username}`]
  const setup = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve']
  execFileSync(installer, [...common, ...setup], { stdio: 'ignore' })
  const port = await findFreePort(0)
  const files = [`--socket=${folder}/s.sock`, `--pid-file=${folder}/p.pid`]
  // A process group of its own: a terminal's Ctrl-C must not end the server before the app has closed its connections.
  const server = spawn(binary, [...common, ...files, `--port=${port}`, '--bind-address=127.0.0.1', '--skip-name-resolve'], {
    stdio: 'ignore',
    detached: true,
  }) // biome-ignore format: one command
  const exited = once(server, 'exit')
  const url = `mysql://root@127.0.0.1:${port}`
  for (let tries = 300; !(await answers(url)); tries--) {
    if (tries === 0 || server.exitCode !== null) {
      server.kill()
      throw new Error('The MariaDB server did not start within 30 s')
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    url,
    folder,
    async stop() {
      server.kill()
      await exited
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
