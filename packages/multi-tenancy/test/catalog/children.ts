import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of its own, for one message at a time. */
export interface Child {
  send(message: string): void
  /** What it says next. */
  receive(): Promise<string>
  /** Ends it, if it has not ended. */
  end(): Promise<void>
}

/** Starts a module as a process, and waits until it says that it stands ready. */
export async function startChild(module: URL, args: readonly string[]): Promise<Child> {
  const child: ChildProcess = fork(module, args, { execArgv: ['--no-warnings'], stdio: 'inherit' })
  const said: string[] = []
  let heard = (): void => {}
  child.on('message', (message) => {
    said.push(String(message))
    heard()
  })
  child.once('exit', (code) => {
    said.push(`ended with ${code}`)
    heard()
  })
  async function receive(): Promise<string> {
    for (;;) {
      const message = said.shift()
      if (message !== undefined) return message
      await new Promise<void>((resolve) => {
        heard = resolve
      })
    }
  }
  const first = await receive()
  if (first !== 'ready') throw new Error(`The process did not start: ${first}`)
  return {
    send: (message) => void child.send(message),
    receive,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
