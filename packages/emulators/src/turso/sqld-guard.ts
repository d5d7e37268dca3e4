import { spawn } from 'node:child_process'

/** Waits for its input to end, which happens when the process holding the other end is gone, however it went. */
const script = `
read -r _
if [ -n "$2" ]; then kill -KILL "$1"; rm -rf -- "$2"; else kill -TERM "$1"; fi
`

/**
 * Ends a child process should this process die without doing so (killed, crashed), and removes its temporary
 * directory, so that an interrupted test run leaves nothing behind.
 *
 * @returns a function that releases the guard, once the child has ended
 */
export function watchOver(pid: number, temporaryDirectory: string | undefined): () => void {
  const guard = spawn('/bin/sh', ['-c', script, 'guard', String(pid), temporaryDirectory ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.stdin.on('error', () => {})
  guard.unref()
  return () => {
    guard.kill('SIGKILL')
  }
}
