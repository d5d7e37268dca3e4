import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Running {
  /** Resolves with the first line of output that matches; throws with all output when the process ends first. */
  line(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with exit code and output when the process has ended. */
  ended(): Promise<{ code: number | null; stdout: string; stderr: string }>
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>
}

/** Starts this Node on a file, in a folder that also takes its temporary files. */
export function runNode(args: readonly string[], cwd: string): Running {
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, TMPDIR: cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  const gone = once(child, 'close')
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return {
    async line(pattern) {
      for (;;) {
        const match = pattern.exec(stdout)
        if (match !== null) return match
        const more = child.stdout === null ? gone : Promise.race([once(child.stdout, 'data'), gone])
        await more
        if (child.exitCode !== null && pattern.exec(stdout) === null) {
          throw new Error(`ended with ${child.exitCode} before ${pattern}\n${stdout}${stderr}`)
        }
      }
    },
    async ended() {
      await gone
      return { code: child.exitCode, stdout, stderr }
    },
    async stop() {
      child.kill()
      await gone
    },
  }
}
