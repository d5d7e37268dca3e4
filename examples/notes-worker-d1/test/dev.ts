import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'

const script = new URL('../scripts/dev.ts', import.meta.url).pathname

export interface Dev {
  readonly port: number
  /** What it printed so far. */
  output(): string
  /** What it left in its folder for temporary files. */
  leftBehind(): string[]
  /** Resolves with the exit code, or the signal that ended it. */
  stop(...signals: NodeJS.Signals[]): Promise<number | NodeJS.Signals | null>
  [Symbol.asyncDispose](): Promise<void>
}

/** What `pnpm dev` runs, as a process of its own, once it says it is ready. */
export async function startDev(way: 'dispatch' | 'rest', env: Record<string, string> = {}): Promise<Dev> {
  const temporary = mkdtempSync(path.join(tmpdir(), 'notes-worker-d1-test-'))
  const child = spawn(process.execPath, [script, way], {
    env: { ...process.env, PORT: '0', TMPDIR: temporary, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const closed = once(child, 'close')
  const stop: Dev['stop'] = async (...signals) => {
    for (const signal of signals) child.kill(signal)
    const [code, signal] = await closed
    return code ?? signal
  }
  let printed = ''
  await new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      printed += chunk
      if (printed.includes('Ready. Ctrl-C stops.')) resolve()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('close', (code) => reject(new Error(`ended with ${code}:\n${printed}`)))
  })
  return {
    port: Number(/http:\/\/localhost:(\d+)\//.exec(printed)?.[1]),
    output: () => printed,
    leftBehind: () => readdirSync(temporary),
    stop,
    async [Symbol.asyncDispose]() {
      // It stops wrangler and the emulator; killed outright it could not.
      if (child.exitCode === null) await stop('SIGINT')
      rmSync(temporary, { recursive: true, force: true })
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** One request with the `Host` the caller chooses. */
export async function ask(port: number, host: string, target: string, json?: unknown): Promise<Answer> {
  const headers = { host: `${host}:${port}`, 'content-type': 'application/json' }
  const method = json === undefined ? 'GET' : 'POST'
  const sent = request({ host: '127.0.0.1', port, path: target, method, headers, agent: false })
  sent.end(json === undefined ? undefined : JSON.stringify(json))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await text(response) }
}
