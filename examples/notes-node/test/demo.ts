import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

const main = new URL('../src/main.ts', import.meta.url).pathname

interface Demo {
  readonly child: ChildProcess
  readonly port: number
  /** What it printed so far. */
  output(): string
  /** What it left in its folder for temporary files. */
  leftBehind(): string[]
  /** Resolves with the exit code, or the signal that ended it. */
  stop(...signals: NodeJS.Signals[]): Promise<number | NodeJS.Signals | null>
}

/** The real demo as a process of its own, once it says it is ready. */
export async function startDemo(env: Record<string, string> = {}): Promise<Demo> {
  const temporary = mkdtempSync(path.join(tmpdir(), 'notes-node-test-'))
  const { TURSO_ORGANIZATION: _, TURSO_API_TOKEN: __, NOTES_DATA: ___, ...inherited } = process.env
  const child = spawn(process.execPath, [main], {
    env: { ...inherited, PORT: '0', TMPDIR: temporary, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
    rmSync(temporary, { recursive: true, force: true })
  })
  let printed = ''
  const ready = new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      printed += chunk
      if (printed.includes('Ready.')) resolve()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${printed}`)))
  })
  await ready
  return {
    child,
    port: Number(/http:\/\/localhost:(\d+)\//.exec(printed)?.[1]),
    output: () => printed,
    leftBehind: () => readdirSync(temporary),
    async stop(...signals) {
      const exit = once(child, 'exit')
      for (const signal of signals) child.kill(signal)
      const [code, signal] = await exit
      return code ?? signal
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** One request with the caller's `Host`: by default a GET, or with `json` a POST. */
export async function ask(
  port: number,
  host: string,
  target: string,
  json?: unknown,
  method: string = json === undefined ? 'GET' : 'POST',
): Promise<Answer> {
  const headers = { host: `${host}:${port}`, 'content-type': 'application/json' }
  const sent = request({ host: '127.0.0.1', port, path: target, method, headers, agent: false })
  sent.end(json === undefined ? undefined : JSON.stringify(json))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await text(response) }
}
