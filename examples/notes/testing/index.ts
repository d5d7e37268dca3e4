import { once } from 'node:events'
import { chmodSync, readdirSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTempFolder, type ProcessExit, type RunningProcess, startNode } from '@tenantry/test-support'

/** An example in a process of its own, with its own folder for temporary files. */
export interface StartedExample {
  readonly process: RunningProcess
  /** Resolves when the example says that it is ready. @returns the port in the first URL it prints */
  waitUntilReady(): Promise<{ readonly port: number; readonly output: string }>
  /** Resolves when the example has created its first temporary folder. */
  waitForTemporaryFolder(): Promise<void>
  /** The names of its temporary files and folders. */
  temporaryFiles(): string[]
  /** Sends the signals to every process of the example, as a terminal does on Ctrl-C, and waits for its end. */
  interrupt(...signals: NodeJS.Signals[]): Promise<ProcessExit>
}

export interface StartOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts an example's script as its package script does, on any free port. */
export function startExample(script: URL, { args = [], env = {} }: StartOptions = {}): StartedExample {
  const folder = createTempFolder('example')
  // PostgreSQL, started by root, runs as another user, who must be able to enter the folder.
  chmodSync(folder, 0o755)
  const example = startNode(script, args, { env: { PORT: '0', TMPDIR: folder, ...env }, group: true })
  return {
    process: example,
    async waitUntilReady() {
      const { input } = await example.waitForOutput(/Ready\./)
      return { port: Number(/http:\/\/[\w.]+:(\d+)\//.exec(input)?.[1]), output: input }
    },
    async waitForTemporaryFolder() {
      while (readdirSync(folder).length === 0) {
        await Promise.race([sleep(5), example.exited.then(({ stderr }) => Promise.reject(new Error(stderr)))])
      }
    },
    temporaryFiles: () => readdirSync(folder),
    async interrupt(...signals) {
      await Promise.all(signals.map((signal) => example.stop(signal)))
      return example.exited
    },
  }
}

/** What a program wrote to its error output, less the log lines of faults: the stop interrupts work that is under way. */
export function listUnexpectedOutput(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{"level":'))
}

export interface RequestOptions {
  readonly host: string
  /** Sent as JSON. */
  readonly json?: unknown
  /** @default GET, or POST with `json` */
  readonly method?: string
}

/** Sends one request with any `Host` header, which `fetch` does not allow. */
export async function sendRequest(
  port: number,
  path: string,
  { host, json, method = json === undefined ? 'GET' : 'POST' }: RequestOptions,
): Promise<{ readonly status: number; readonly body: string }> {
  const headers = { host: `${host}:${port}`, 'content-type': 'application/json' }
  const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  sent.end(json === undefined ? undefined : JSON.stringify(json))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await text(response) }
}
