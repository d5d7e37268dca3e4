import { TenancyError } from '@tenantry/multi-tenancy'
import { type Connection as Client, type ConnectionOptions, createConnection } from 'mysql2'
import { type Login, withLogin } from '../driver-options.ts'
import {
  accompany,
  accompanyNext,
  type Command,
  type Company,
  commandMessage,
  type Internals,
  lostConnection,
  queryMessage,
} from './messages.ts'
import type { Trace } from './session-taint.ts'
import { sessionModeOf } from './sql-mode.ts'

export type Row = Record<string, unknown>

/** One physical connection, in the hands of one user at a time. */
export interface Connection {
  readonly client: Client
  readonly kind: 'admin' | 'tenant'
  login: Login
  /** What is said first in each session, where the server's own settings would not do. */
  readonly preparation: string | undefined
  /**
   * Its `COM_RESET_CONNECTION` leaves a session as its login found it, but for the database; its `COM_CHANGE_USER`
   * leaves what `FAREWELL` takes away.
   */
  readonly mariadb: boolean
  /** The server has answered one, so it knows the command: with that, nothing of it can be refused. */
  reset: boolean
  /** Stands in for the driver's own until the next statement, which takes the reset along. */
  next: Internals['addCommand'] | undefined
  /** The character set it was opened with: the driver takes over what `SET NAMES` chose. */
  readonly charset: unknown
  /** The users that the server lets in under their own names, as it said over this connection. */
  readonly confirmed: Set<string>
  /** The clients (of tenants) that have seen whose database they reach over it. */
  verified: WeakSet<object>
  /** What may be left of what ran since it was last like new. */
  trace: Trace
  /** While it is made like new behind everybody's back, and from when that is due. */
  renewal: Renewal | undefined
  /** Aborted when it ends, by whomever. */
  readonly ended: AbortController
  /** Whoever has it now. */
  holder: Holder | undefined
}

/** Is told what becomes of the connection it has. */
export interface Holder {
  onEnd(): void
  onError(error: unknown): void
}

/** Work that begins when nobody took the connection at once, and may have begun. */
export interface Renewal {
  readonly due: NodeJS.Immediate
  work?: Promise<void>
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
    if (ended.signal.aborted) return
    ended.abort()
    if (made === undefined) return
    made.holder?.onEnd()
    onEnd(made)
  }
  client.on('end', end)
  try {
    await untilAborted(
      signal,
      new Promise<void>((resolve, reject) => {
        client.on('error', (error: unknown) => {
          reject(error)
          const holder = made?.holder
          end()
          holder?.onError(error)
        })
        client.once('connect', () => resolve())
      }),
    )
    // Where the driver gives up on what the server says, it tells one command and nobody else.
    const driver = client as unknown as Internals
    driver.stream.once('close', end)
    // It takes what belongs to no answer for one, and says so: what is meant for another must reach nobody.
    driver.on('warn', (cause) => {
      driver._handleFatalError(lostConnection('the server says what was not asked', cause))
      driver.stream.destroy()
    })
    const rows = await untilAborted(
      signal,
      ask(client, `SELECT @@GLOBAL.sql_mode AS mode, VERSION() AS version, ${ACCOUNT}`),
    )
    const { mode, version } = rows[0] ?? {}
    const confirmed = new Set<string>()
    if (kind === 'tenant') confirmAccount(confirmed, login, rows)
    const preparation = sessionModeOf(String(mode ?? '')).statement
    // With a reset, MySQL itself turns the character set to the server's own, which the driver would not know.
    const mariadb = /mariadb/i.test(String(version))
    const { charsetNumber: charset } = (client as unknown as Internals).config
    const [verified, trace, renewal] = [new WeakSet<object>(), 'none', undefined] as const
    const [reset, next, holder] = [false, undefined, undefined]
    made = {
      client, kind, login, preparation, mariadb, reset, next, charset, confirmed, verified, trace, renewal, ended, holder,
    } // biome-ignore format: one list
    await untilAborted(signal, prepare(made))
    return made
  } catch (error) {
    destroyClient(client)
    throw error
  }
}

const ACCOUNT = 'CURRENT_USER() AS tenantry_account'

/**
 * Runs the core's own reads of a connection that was turned to a login, and has the first one say too under which
 * account the server lets the login in.
 */
export async function askConfirmed(
  { client, confirmed, login }: Connection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const confirm = !confirmed.has(login.user) && sql.startsWith('SELECT ')
  const rows = await ask(client, confirm ? `SELECT ${ACCOUNT}, ${sql.slice('SELECT '.length)}` : sql, values)
  if (!confirm || rows.length === 0) return rows
  confirmAccount(confirmed, login, rows)
  return rows.map(({ tenantry_account: _, ...row }) => row)
}

/** @throws `config_invalid` where the server lets the login in under another account */
export async function confirmLogin(connection: Connection): Promise<void> {
  const { client, confirmed, login } = connection
  if (!confirmed.has(login.user)) confirmAccount(confirmed, login, await ask(client, `SELECT ${ACCOUNT}`))
}

/**
 * A server may let a login in as another account: as one without a name whose host is more exact, or by a proxy. The
 * rights are then those of that account, and not those of the tenant's own user.
 */
function confirmAccount(confirmed: Set<string>, login: Login, [row]: readonly Row[]): void {
  const account = String(row?.tenantry_account)
  if (!login.shared && account.slice(0, account.lastIndexOf('@')) !== login.user) {
    throw new TenancyError(
      'config_invalid',
      `The server lets the login ${login.user} in as the account ${account}: delete that account, or the proxy to it`,
    )
  }
  confirmed.add(login.user)
}

/**
 * What the user who leaves says last, since MariaDB's `COM_CHANGE_USER` keeps what it undoes:
 *
 * - The profiler goes on, whatever `@@profiling` says, and shows the next user's statements to the one before. Of a
 *   history without room the next profile pushes out the last.
 * - How long a write may take, and how often it is tried.
 * - How many rows were found.
 * - A prepared XA transaction, with which every statement of the next user is refused. So is `ROLLBACK`, and the
 *   connection is ended, which alone lets go of it.
 */
const FAREWELL: readonly string[] = [
  'SET SESSION net_write_timeout = DEFAULT, net_retry_count = DEFAULT, profiling_history_size = 0, profiling = 1',
  'SELECT 0 INTO @tenantry_left',
  'SET SESSION profiling = 0',
  'ROLLBACK',
]
const WITH_FAREWELL: Company = {
  before: FAREWELL.map(queryMessage),
  onRefused(cause) {
    throw lostConnection('it could not be made like new', cause)
  },
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
  forgetNext(connection)
  restoreCharset(connection)
  const driver = connection.client as unknown as Internals
  forgetStatements(driver)
  if (connection.mariadb && driver.config.compress)
    for (const text of FAREWELL) await ask(connection.client, text)
  const changed = new Promise<void>((resolve, reject) => {
    if (connection.mariadb && !driver.config.compress) accompanyNext(driver, WITH_FAREWELL)
    connection.client.changeUser({ user, password, ...(database && { database }) }, (error: unknown) =>
      error ? reject(error) : resolve(),
    )
  })
  // Queued behind it at once: nothing that others send comes between.
  await Promise.all([changed, prepare(connection)])
  connection.login = login
  // While it was in no database, who made that one anew could not end it by its name.
  if (login.shared) connection.verified = new WeakSet()
  connection.trace = 'none'
}

/**
 * Makes a connection like new for its login. After statements of which none can `USE` another database, the server
 * does without the password.
 *
 * @throws what the server says: destroy it
 */
export async function renew(connection: Connection): Promise<void> {
  if (connection.trace === 'any' || !connection.mariadb) return changeUser(connection, connection.login)
  forgetNext(connection)
  restoreCharset(connection)
  forgetStatements(connection.client as unknown as Internals)
  await new Promise<void>((resolve, reject) => {
    connection.client.reset((error: unknown) => (error ? reject(error) : resolve()))
  })
  connection.reset = true
  await prepare(connection)
  connection.trace = 'none'
}

/**
 * Has a connection made like new on its way to its next statement: both go in one message, and the server takes one
 * after the other, so that nobody waits for the first one's answer. Only where that answer is known: the server has
 * given it over this connection, and what remains is that the connection ends, and the statement with it.
 *
 * @returns false where it has to be waited for
 */
export function renewWithNext(connection: Connection): boolean {
  const { trace, mariadb, reset, preparation } = connection
  const client = connection.client as unknown as Internals
  if (trace !== 'plain' || !mariadb || !reset || preparation !== undefined) return false
  if (client.config.compress) return false
  forgetNext(connection)
  // One that has ended takes no more commands: the driver has replaced it.
  if (Object.hasOwn(client, 'addCommand')) return false
  connection.next = (command) => {
    forgetNext(connection)
    return client.addCommand(behindReset(connection, command))
  }
  client.addCommand = connection.next
  return true
}

function forgetNext(connection: Connection): void {
  const client = connection.client as unknown as Partial<Internals>
  if (client.addCommand === connection.next) delete client.addCommand
  connection.next = undefined
}

const RESET = commandMessage(0x1f)

/** The command, with a reset in front of it, whose answer nobody waits for. */
function behindReset(connection: Connection, command: Command): Command {
  return accompany(command, {
    before: [RESET],
    onSend(client) {
      restoreCharset(connection)
      forgetStatements(client)
    },
    onRefused: WITH_FAREWELL.onRefused,
  })
}

/** Has a connection made like new as soon as nobody takes it at once: another tenant's use would do so anyway. */
export function renewSoon(connection: Connection, onError: () => void): void {
  const renewal: Renewal = {
    due: setImmediate(() => {
      renewal.work = renew(connection)
      renewal.work.catch(onError)
    }),
  }
  connection.renewal = renewal
}

/** Stops a renewal that has not begun; one that has is to be waited for. */
export function settleRenewal(connection: Connection): Promise<void> | undefined {
  const { renewal } = connection
  if (renewal === undefined) return undefined
  connection.renewal = undefined
  clearImmediate(renewal.due)
  return renewal.work
}

/** The server goes back to it too. */
function restoreCharset({ client, charset }: Connection): void {
  ;(client as unknown as Internals).config.charsetNumber = charset
}

/** The server forgets them with the session. The driver would tell it to, of each, which could meet the new session's. */
function forgetStatements({ _statements: statements }: Internals): void {
  for (const statement of statements.values()) statement.close = () => {}
  statements.clear()
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
export async function closeConnection(connection: Connection): Promise<void> {
  const { client, ended } = connection
  await settleRenewal(connection)?.catch(() => {})
  forgetNext(connection)
  const { stream, _command: busy } = client as unknown as Internals
  const idle = !ended.signal.aborted && !busy
  ended.abort()
  connection.holder?.onEnd()
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
