import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FromHost, ToHost } from './host-messages.ts'
import type { WireScript } from './worker/wire.ts'

/** The options to start workerd with. */
export interface WorkerdOptions {
  readonly directory: string
  /** Removed when this process or that one ends. */
  readonly temporary: string | undefined
  /** The secret that requests to its port must send. */
  readonly secret: string
  /** Loads the script with this id. */
  script(id: string): WireScript | undefined
}

/** A running workerd. */
export interface Workerd {
  readonly port: number
  stop(): Promise<void>
}

/**
 * Starts workerd below a process of its own, which ends it also when this process is killed.
 *
 * @throws Error when it does not start
 */
export async function startWorkerd({ script, ...start }: WorkerdOptions): Promise<Workerd> {
  const file = import.meta.url.endsWith('.ts') ? './host.ts' : './cloudflare-host.js'
  const host = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const ended = once(host, 'exit')
  const send = (message: ToHost): void => {
    if (host.connected) host.send(message)
  }
  const stop = async (): Promise<void> => {
    if (host.connected) host.disconnect()
    await ended
  }
  const ready = new Promise<number>((resolve, reject) => {
    host.on('message', (message: FromHost) => {
      if (message.kind === 'ready') resolve(message.port)
      else if (message.kind === 'failed') reject(new Error(`workerd did not start: ${message.problem}`))
      else send({ kind: 'script', question: message.question, script: script(message.id) ?? null })
    })
    host.on('error', reject)
    host.on('exit', (code) => reject(new Error(`workerd did not start: its process ended with ${code}`)))
  })
  send({ kind: 'start', ...start })
  try {
    return { port: await ready, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
