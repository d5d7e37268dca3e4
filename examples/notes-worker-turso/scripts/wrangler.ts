import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'

interface Wrangler {
  readonly port: number
  /** Resolves when the Worker takes requests. */
  readonly ready: Promise<'ready'>
  readonly ended: Promise<void>
  /** What it printed so far. */
  output(): string
  /** Prints from now on what it prints. */
  showOutput(): void
  stop(): Promise<void>
}

const root = path.join(import.meta.dirname, '..')

/**
 * `wrangler dev` at `wanted` or the next free port, with these variables, and with everything it keeps in `directory`.
 */
export async function startWrangler(
  wanted: number,
  directory: string,
  variables: Record<string, string>,
): Promise<Wrangler> {
  const port = await freePort(wanted)
  // A file, because every process can read a command line.
  const envFile = path.join(directory, 'variables.env')
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(envFile, lines.join(''), { mode: 0o600 })

  const require = createRequire(import.meta.url)
  const bin = path.join(path.dirname(require.resolve('wrangler/package.json')), 'bin/wrangler.js')
  const child = spawn(
    process.execPath,
    [
      ...[bin, 'dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0'],
      ...['--persist-to', path.join(directory, 'state'), '--env-file', envFile],
      '--show-interactive-dev-session=false',
    ],
    {
      cwd: root,
      env: {
        ...process.env,
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        WRANGLER_LOG_PATH: path.join(directory, 'logs'),
        WRANGLER_REGISTRY_PATH: path.join(directory, 'registry'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let printed = ''
  let show = false
  const ready = new Promise<'ready'>((resolve) => {
    for (const [source, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      source.on('data', (chunk: Buffer) => {
        printed += chunk
        if (show) target.write(chunk)
        if (printed.includes('Ready on http')) resolve('ready')
      })
    }
  })
  return {
    port,
    ready,
    ended,
    output: () => printed,
    showOutput: () => {
      show = true
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
      await ended
    },
  }
}

async function freePort(wanted: number): Promise<number> {
  for (let candidate = wanted; ; candidate += 1) {
    const server = createServer()
    try {
      server.listen(candidate, '127.0.0.1')
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || candidate >= wanted + 20) throw error
    } finally {
      server.close()
    }
  }
}
