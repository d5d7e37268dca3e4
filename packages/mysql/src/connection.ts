import { type Connection as Client, type ConnectionOptions, createConnection } from 'mysql2'
import { type Login, withLogin } from './config.ts'
import { sessionModeOf } from './session.ts'
import type { Trace } from './statements.ts'

export type Row = Record<string, unknown>

/** One physical connection, in the hands of one user at a time. */
export interface Connection {
  readonly client: Client
  readonly kind: 'admin' | 'tenant'
  login: Login
  /** What is said first in each session, where the server's own settings would not do. */
  readonly preparation: string | undefined
  /** The character set it was opened with: the driver takes over what `SET NAMES` chose. */
  readonly charset: unknown
  /** The client (of a tenant) that has seen whose database this is. */
  verified: object | undefined
  /** What may be left of what ran since it was last like new. */
  trace: Trace
  /** Aborted when it ends, by whomever. */
  readonly ended: AbortController
}

/**
 * Connects. The connection has an `error` listener for good, so that a server that ends it ends nothing else.
 *
 * @throws what the driver throws; the signal's reason
 */
export async function openConnection(
  kind: Connection['kind'],
  options: ConnectionOptions,
  login: Login,
  signal: AbortSignal,
  onEnd: (connection: Connection) => void,
): Promise<Connection> {
  signal.throwIfAborted()
  const client = createConnection(withLogin(options, login))
  const ended = new AbortController()
  let made: Connection | undefined
  const end = (): void => {
    ended.abort()
    if (made !== undefined) onEnd(made)
  }
  client.on('end', end)
  try {
    await untilAborted(
      signal,
      new Promise<void>((resolve, reject) => {
        client.on('error', (error: unknown) => {
          reject(error)
          end()
        })
        client.once('connect', () => resolve())
      }),
    )
    const rows = await untilAborted(signal, ask(client, 'SELECT @@GLOBAL.sql_mode AS mode'))
    const preparation = sessionModeOf(String(rows[0]?.mode ?? '')).statement
    const { charsetNumber: charset } = (client as unknown as Internals).config
    made = { client, kind, login, preparation, charset, verified: undefined, trace: 'none', ended }
    await untilAborted(signal, prepare(made))
    return made
  } catch (error) {
    destroyClient(client)
    throw error
  }
}

/**
 * Makes a connection another login's, or like new for the same one: in one message the server checks the password,
 * chooses the database, rolls back, and clears the session of all there was.
 *
 * @throws what the server says. The connection is then still the old login's, or nobody's: destroy it.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html
 */
export async function changeUser(connection: Connection, login: Login): Promise<void> {
  const { user, password, database } = login
  connection.verified = connection.login === login ? connection.verified : undefined
  ;(connection.client as unknown as Internals).config.charsetNumber = connection.charset
  await new Promise<void>((resolve, reject) => {
    connection.client.changeUser({ user, password, ...(database && { database }) }, (error: unknown) =>
      error ? reject(error) : resolve(),
    )
  })
  connection.login = login
  await prepare(connection)
  connection.trace = 'none'
}

async function prepare({ client, preparation }: Connection): Promise<void> {
  if (preparation !== undefined) await ask(client, preparation)
}

/** The rows of one statement. */
export function ask(client: Client, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    client.query(sql, values as unknown[], (error: unknown, rows: unknown) => {
      if (error) reject(error)
      else resolve(Array.isArray(rows) ? (rows as Row[]) : [])
    })
  })
}

/** Says goodbye and waits until the server has closed it, so that it is not counted any more. */
export async function closeConnection({ client, ended }: Connection): Promise<void> {
  const { stream, _command: busy } = client as unknown as Internals
  const idle = !ended.signal.aborted && !busy
  ended.abort()
  if (!idle || stream.destroyed) return destroyClient(client)
  await new Promise<void>((resolve) => {
    stream.once('close', () => resolve())
    client.end(() => {})
  })
}

/** Ends a connection at once, whatever it is doing: the server rolls back. */
function destroyClient(client: Client): void {
  client.destroy()
  ;(client as unknown as Internals).stream.destroy()
}

/** What the driver has and its types do not tell. */
interface Internals {
  readonly stream: {
    readonly destroyed: boolean
    destroy(): void
    once(event: 'close', on: () => void): void
  }
  readonly _command: unknown
  readonly config: { charsetNumber: unknown }
}

/** The driver never settles what is under way on a connection that was destroyed. */
export async function untilAborted<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  work.catch(() => {})
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (stop) signal.removeEventListener('abort', stop)
  }
}
