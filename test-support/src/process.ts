import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface ProcessOptions {
  readonly cwd?: string
  /** Added to this process's environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Opens a channel for `send` and `receive`; the child must be a Node process. @default false */
  readonly messages?: boolean
  /** Prints the child's standard error instead of collecting it. @default false */
  readonly showErrors?: boolean
  /** Flags of Node itself, for `startNode`. */
  readonly nodeOptions?: readonly string[]
  /**
   * Starts the process as the leader of a group of its own. Signals then go to the whole group, as a terminal sends
   * Ctrl-C to every process it runs.
   *
   * @default false
   */
  readonly group?: boolean
  readonly uid?: number
  readonly gid?: number
}

export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A child process that this test started. */
export interface RunningProcess {
  readonly pid: number
  /** Resolves when the process has ended, however it ends. */
  readonly exited: Promise<ProcessExit>
  /**
   * Resolves with the first match in the output so far.
   *
   * @throws with the whole output when the process ends without a match
   */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray>
  /** Sends a message to the child. */
  send(message: string): void
  /**
   * Resolves with the child's next message; messages that arrive earlier are kept.
   *
   * @throws when the process ends without one
   */
  receive(): Promise<string>
  /** Ends this process (and no other, but for `group`), if it still runs, and waits until it has ended. @param signal default SIGKILL */
  stop(signal?: NodeJS.Signals): Promise<ProcessExit>
}

/** The children that run, each with whether it leads a process group. */
const running = new Map<ChildProcess, boolean>()
function endChildren(): void {
  for (const [child, group] of running) sendSignal(child, 'SIGKILL', group)
}

function sendSignal(child: ChildProcess, signal: NodeJS.Signals, group: boolean): void {
  if (!group || child.pid === undefined) child.kill(signal)
  else {
    try {
      process.kill(-child.pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
process.once('exit', endChildren)
// Vitest ends a worker by this signal, for which there is no `exit` event.
process.once('SIGTERM', () => {
  endChildren()
  process.kill(process.pid, 'SIGTERM')
})

/** Starts a command as a child process. A child that still runs when this process exits is ended with it. */
export function startProcess(
  command: string,
  args: readonly string[],
  { cwd, env, messages = false, showErrors = false, group = false, uid, gid }: ProcessOptions = {},
): RunningProcess {
  const options: SpawnOptions = {
    env: { ...process.env, ...env },
    detached: group,
    stdio: ['ignore', 'pipe', showErrors ? 'inherit' : 'pipe', ...(messages ? (['ipc'] as const) : [])],
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  }
  const child = spawn(command, args, options)
  running.set(child, group)
  const output = { stdout: '', stderr: '' }
  const inbox: string[] = []
  // Replaced by each event for which a caller may be waiting.
  let change = Promise.withResolvers<void>()
  let exit: ProcessExit | undefined

  function announceChange(): void {
    change.resolve()
    change = Promise.withResolvers<void>()
  }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
      announceChange()
    })
  }
  child.on('message', (message) => {
    inbox.push(String(message))
    announceChange()
  })
  const exited = once(child, 'close').then(([code, signal]) => {
    exit = { code, signal, ...output }
    running.delete(child)
    announceChange()
    return exit
  })
  // A command that does not exist rejects every later call; without a caller it must not end the test process.
  exited.catch(announceChange)

  /** Checks again after each event, until the process has ended and the last check finds no value. */
  async function waitFor<Value>(find: () => Value | undefined, missing: string): Promise<Value> {
    for (;;) {
      const value = find()
      if (value !== undefined) return value
      if (exit !== undefined) {
        const reason = exit.signal ?? `code ${exit.code}`
        throw new Error(`${command} ended (${reason}) without ${missing}\n${output.stdout}${output.stderr}`)
      }
      await Promise.race([change.promise, exited])
    }
  }

  return {
    get pid() {
      if (child.pid === undefined) throw new Error(`${command} did not start`)
      return child.pid
    },
    exited,
    waitForOutput: (pattern) =>
      waitFor(() => pattern.exec(output.stdout) ?? undefined, `the output ${pattern}`),
    send(message) {
      child.send(message)
    },
    receive: () => waitFor(() => inbox.shift(), 'a message'),
    stop(signal = 'SIGKILL') {
      if (exit === undefined) sendSignal(child, signal, group)
      return exited
    },
  }
}

/** Starts a script with this Node. */
export function startNode(
  script: string | URL,
  args: readonly string[] = [],
  { nodeOptions = ['--no-warnings'], ...options }: ProcessOptions = {},
): RunningProcess {
  const file = script instanceof URL ? fileURLToPath(script) : script
  return startProcess(process.execPath, [...nodeOptions, file, ...args], options)
}

/** Returns whether a process with this id exists. */
export function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
