import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { sendLocal } from '../http.ts'
import { watchOver } from './sqld-guard.ts'

/** A running libSQL server, owned by this process. */
export interface SqldProcess {
  readonly pid: number
  /** Where it answers SQL, on 127.0.0.1. */
  readonly httpPort: number
  /** Where it answers namespace administration, on 127.0.0.1. */
  readonly adminPort: number
  /** Sent as `Authorization: basic {adminKey}` to the administration port. */
  readonly adminKey: string
  /** What it last wrote about itself, for error messages; `undefined` while it runs. */
  exitReason(): string | undefined
  /** Ends it and waits until it is gone. Ending it twice is fine. */
  stop(): Promise<void>
}

/** How to start a libSQL server. */
export interface SqldOptions {
  readonly binary: string
  readonly dataDirectory: string
  /** A directory to remove should this process die without stopping the server. */
  readonly temporaryDirectory?: string | undefined
}

const startAttempts = 5
const startTimeoutMs = 15_000
const stopTimeoutMs = 5_000
const keptLogCharacters = 4_000

/**
 * Starts sqld on two free ports of 127.0.0.1 and waits until it answers.
 *
 * @throws Error with what sqld wrote, when it ends before it answers
 */
export async function startSqld(options: SqldOptions): Promise<SqldProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const [httpPort, adminPort] = await freePorts()
    const server = await launch(options, httpPort, adminPort)
    if (typeof server !== 'string') return server
    // A free port can be taken by someone else before sqld binds it; every other failure would only repeat.
    const portTaken = /address (already )?in use|AddrInUse/i.test(server)
    if (!portTaken || attempt === startAttempts) throw new Error(server)
  }
}

/** The server once it answers, or why it did not start. */
async function launch(
  { binary, dataDirectory, temporaryDirectory }: SqldOptions,
  httpPort: number,
  adminPort: number,
): Promise<SqldProcess | string> {
  const adminKey = randomBytes(24).toString('hex')
  const child = spawn(
    binary,
    [
      ...['--db-path', dataDirectory, '--http-listen-addr', `127.0.0.1:${httpPort}`],
      ...['--admin-listen-addr', `127.0.0.1:${adminPort}`, '--admin-auth-key', adminKey],
      ...['--enable-namespaces', '--disable-default-namespace', '--no-welcome', '--disable-metrics'],
    ],
    // Its own process group: Ctrl-C reaches us, and we end it in order.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: ownEnvironment() },
  )
  let log = ''
  const keep = (chunk: Buffer): void => {
    log = (log + chunk.toString()).slice(-keptLogCharacters)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)

  let reason: string | undefined
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      reason = `sqld could not be started: ${error.message}`
      resolve()
    })
    // `close` and not `exit`: by then everything it wrote has been read.
    child.once('close', (code, signal) => {
      reason ??= `sqld ended (${signal ?? `exit code ${code}`}). It wrote:\n${log.trim() || '(nothing)'}`
      resolve()
    })
  })
  const { pid } = child
  if (pid === undefined) {
    await ended
    return reason ?? 'sqld could not be started'
  }
  const releaseGuard = watchOver(pid, temporaryDirectory)
  const stop = async (): Promise<void> => {
    if (reason === undefined) await terminate(child, ended)
    releaseGuard()
  }
  const answered = await untilAnswering(httpPort, adminPort, adminKey, () => reason !== undefined)
  if (answered) return { pid, httpPort, adminPort, adminKey, exitReason: () => reason, stop }
  await stop()
  return reason ?? `sqld did not answer within ${startTimeoutMs} ms. It wrote:\n${log.trim()}`
}

/** Asks until the server answers with our key, it ended, or the time is up. */
async function untilAnswering(
  httpPort: number,
  adminPort: number,
  adminKey: string,
  ended: () => boolean,
): Promise<boolean> {
  const headers = { authorization: `basic ${adminKey}` }
  for (const deadline = Date.now() + startTimeoutMs; Date.now() < deadline && !ended(); ) {
    const [admin, http] = await Promise.allSettled([
      // 404 comes from a server that took the key; another server on the port would not.
      sendLocal({ port: adminPort, method: 'GET', path: '/v1/namespaces/absent/config', headers }),
      sendLocal({ port: httpPort, method: 'GET', path: '/health' }),
    ])
    const ready = admin.status === 'fulfilled' && admin.value.status === 404 && http.status === 'fulfilled'
    if (ready && !ended()) return true
    await delay(10)
  }
  return false
}

/** sqld reads its options from `SQLD_*` variables too; variables of the environment must not configure ours. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('SQLD_'))
  return { ...Object.fromEntries(entries), NO_COLOR: '1' }
}

async function terminate(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const
  const ports: number[] = []
  for (const server of servers) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address !== null && typeof address === 'object') ports.push(address.port)
  }
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
  const [http = 0, admin = 0] = ports
  return [http, admin]
}
