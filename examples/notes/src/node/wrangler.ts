import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { findFreePort } from './listen.ts'
import type { Example } from './run-example.ts'

export interface WranglerOptions {
  /** The example's folder, with its `wrangler.jsonc` and its own dependency on wrangler. */
  readonly root: string
  /** Where wrangler keeps everything it writes. */
  readonly folder: string
  /** The Worker's variables and secrets. */
  readonly variables: Readonly<Record<string, string>>
  /** Variables of wrangler's own process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Called when the Worker takes requests. What it prints is shown from then on. */
  readonly onReady: (port: number) => void | Promise<void>
}

/** Serves a Worker with `wrangler dev`, on the example's port or the next free one, until the example is stopped. */
export async function serveWithWrangler(
  { port: wantedPort, stopped }: Example,
  { root, folder, variables, env, onReady }: WranglerOptions,
): Promise<void> {
  const port = await findFreePort(wantedPort)
  // In a file, because every process can read a command line.
  const envFile = path.join(folder, 'variables.env')
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(envFile, lines.join(''), { mode: 0o600 })
  const wrangler = startWrangler({ root, folder, envFile, env, port })
  const ended = wrangler.ended.then(() => 'ended' as const)
  const stopping = stopped.then(() => 'stopped' as const)
  try {
    if ((await Promise.race([wrangler.ready, ended, stopping])) === 'ready') {
      await onReady(port)
      wrangler.showOutput()
    }
    if ((await Promise.race([ended, stopping])) === 'ended') {
      console.error(wrangler.output())
      process.exitCode = 1
    }
  } finally {
    await wrangler.stop()
  }
}

interface Wrangler {
  /** Resolves when the Worker takes requests. */
  readonly ready: Promise<'ready'>
  readonly ended: Promise<void>
  /** Everything it has printed. */
  output(): string
  /** Prints what it prints from now on. */
  showOutput(): void
  stop(): Promise<void>
}

interface StartOptions extends Pick<WranglerOptions, 'root' | 'folder' | 'env'> {
  readonly envFile: string
  readonly port: number
}

function startWrangler({ root, folder, envFile, env, port }: StartOptions): Wrangler {
  const { resolve } = createRequire(path.join(root, 'package.json'))
  const bin = path.join(path.dirname(resolve('wrangler/package.json')), 'bin/wrangler.js')
  const child = spawn(
    process.execPath,
    [
      ...[bin, 'dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0'],
      ...['--persist-to', path.join(folder, 'state'), '--env-file', envFile],
      '--show-interactive-dev-session=false',
    ],
    {
      cwd: root,
      // A process group of its own: it is stopped by this process, and not by the terminal's Ctrl-C as well.
      detached: true,
      env: {
        ...process.env,
        ...env,
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        WRANGLER_LOG_PATH: path.join(folder, 'logs'),
        WRANGLER_REGISTRY_PATH: path.join(folder, 'registry'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  // After an error of the example itself too: detached, it would go on.
  process.on('exit', () => child.kill('SIGKILL'))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let printed = ''
  let isShown = false
  const ready = new Promise<'ready'>((resolve) => {
    for (const [source, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      source.on('data', (chunk: Buffer) => {
        printed += chunk
        if (isShown) target.write(chunk)
        if (printed.includes('Ready on http')) resolve('ready')
      })
    }
  })
  return {
    ready,
    ended,
    output: () => printed,
    showOutput: () => {
      isShown = true
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
      await ended
    },
  }
}
