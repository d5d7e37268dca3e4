import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { type ConnectionOptions, createConnection, type Connection as DriverConnection } from 'mysql2'
import { type Login, withLogin } from '../driver-options.ts'
import { isNumber } from '../errors.ts'
import { ACCOUNT_COLUMN, confirmAccount } from './account.ts'
import { type Row, rejectOnAbort, runStatement } from './run-statement.ts'
import type { SessionTaint } from './session-taint.ts'
import { requireStrictMode } from './sql-mode.ts'

/**
 * What a connection is for. A `batch` connection accepts several statements in one message, so it runs statements of the
 * core only; what an app or a tenant sends goes to a `tenant` connection, which accepts one.
 */
export type ConnectionKind = 'admin' | 'tenant' | 'batch'

/** One physical connection, used by one lease at a time. */
export interface Connection {
  readonly driver: DriverConnection
  readonly socket: Duplex
  readonly kind: ConnectionKind
  login: Login
  /** Sets `sql_mode` in each new session, where the server's own mode does not fit. */
  readonly setSqlMode: string | undefined
  /**
   * On MariaDB, `COM_RESET_CONNECTION` keeps only the current database, and `COM_CHANGE_USER` keeps what
   * `PRE_CHANGE_USER` in reset.ts clears.
   */
  readonly isMariaDb: boolean
  /** The collation that the session begins with. */
  readonly charset: string
  /** The same as the driver's number, which follows what statements set. */
  readonly charsetNumber: unknown
  /** Whether the server accepts several statements in one message from this connection. */
  readonly acceptsSeveral: boolean
  /** The users that the server lets in under their own names, as confirmed over this connection. */
  readonly confirmedUsers: Set<string>
  /** The clients that have read the identity stamp over this connection. */
  verifiedTargets: WeakSet<object>
  taint: SessionTaint
  pendingReset: PendingReset | undefined
  /** The server may still be working for it, so it is closed without waiting for an answer. */
  isAbandoned: boolean
  /** Aborted once the connection has ended, with the error for its user. */
  readonly ended: AbortController
  holder: Holder | undefined
}

/** The current user of a connection, notified when the connection fails. */
export interface Holder {
  onEnd(): void
  onError(error: unknown): void
}

/** A reset that is scheduled, and its promise once it has begun. */
export interface PendingReset {
  readonly timer: NodeJS.Immediate
  work?: Promise<void>
}

export interface OpenConnectionOptions {
  readonly kind: ConnectionKind
  readonly options: ConnectionOptions
  readonly login: Login
  readonly signal: AbortSignal
  readonly onEnd: (connection: Connection) => void
}

const DEFAULT_CHARSET = 'UTF8MB4_UNICODE_CI'
/** No such syntax. */
const SYNTAX_ERROR = 1064

/**
 * Connects. The connection keeps an `error` listener until it is closed: a server that ends it must not end the process.
 *
 * @throws what the driver throws; the signal's reason; `config_invalid` where the server lets the login in as another
 * account
 */
export async function openConnection({
  kind,
  options,
  login,
  signal,
  onEnd,
}: OpenConnectionOptions): Promise<Connection> {
  signal.throwIfAborted()
  const { driver, socket } = connectDriver(options, login, kind)
  const ended = new AbortController()
  let connection: Connection | undefined
  const end = (): void => {
    if (ended.signal.aborted) return
    ended.abort(connectionEnded())
    if (connection === undefined) return
    connection.holder?.onEnd()
    onEnd(connection)
  }
  driver.on('end', end)
  socket.once('close', end)
  // The driver passes a packet that nothing asked for to the next command, and only warns. An answer that belongs to
  // another command must reach no caller, so the connection fails before the driver uses the packet.
  driver.on('warn', (cause: Error) => {
    const lost = new Error('Connection lost: the server sent an unexpected packet', { cause })
    socket.emit('error', Object.assign(lost, { code: 'PROTOCOL_CONNECTION_LOST' }))
    socket.destroy()
  })
  try {
    const connected = new Promise<void>((resolve, reject) => {
      driver.on('error', (error: unknown) => {
        reject(error)
        const holder = connection?.holder
        end()
        holder?.onError(error)
      })
      driver.once('connect', () => resolve())
    })
    await rejectOnAbort(signal, connected)
    const { row, acceptsSeveral } = await rejectOnAbort(signal, readSettings(driver, kind))
    const confirmedUsers = new Set<string>()
    if (kind !== 'admin') confirmAccount(confirmedUsers, login, row)
    const setSqlMode = requireStrictMode(String(row?.mode ?? '')).statement
    if (setSqlMode !== undefined) await rejectOnAbort(signal, runStatement(driver, setSqlMode))
    connection = {
      driver,
      socket,
      kind,
      login,
      setSqlMode,
      isMariaDb: /mariadb/i.test(String(row?.version)),
      charset: options.charset ?? DEFAULT_CHARSET,
      charsetNumber: readCharsetNumber(driver),
      acceptsSeveral,
      confirmedUsers,
      verifiedTargets: new WeakSet(),
      taint: 'none',
      pendingReset: undefined,
      isAbandoned: false,
      ended,
      holder: undefined,
    }
    return connection
  } catch (error) {
    driver.destroy()
    socket.destroy()
    throw error
  }
}

export function connectionEnded(): TenancyError {
  return new TenancyError('provider_unavailable', 'The database connection ended', { retryAfter: 1 })
}

/** The socket is opened here, with the driver's own settings for it, so that its end can be observed and forced. */
function connectDriver(
  options: ConnectionOptions,
  login: Login,
  kind: ConnectionKind,
): { driver: DriverConnection; socket: Duplex } {
  const { host = 'localhost', port = 3306, socketPath, stream, enableKeepAlive = true } = options
  const { keepAliveInitialDelay } = options
  let socket: Duplex | undefined
  const openSocket = (given: unknown): Duplex => {
    const keepAlive = { keepAlive: enableKeepAlive, keepAliveInitialDelay: keepAliveInitialDelay ?? 0 }
    socket =
      typeof stream === 'function'
        ? (stream(given) as Duplex)
        : socketPath !== undefined
          ? connect(socketPath)
          : connect({ host, port: Number(port), noDelay: true, ...keepAlive })
    return socket
  }
  const driver = createConnection({
    ...withLogin(options, login),
    stream: openSocket,
    multipleStatements: kind === 'batch',
  })
  if (socket === undefined) throw new Error('The driver opened no socket')
  return { driver, socket }
}

const SETTINGS = `SELECT @@GLOBAL.sql_mode AS mode, VERSION() AS version, ${ACCOUNT_COLUMN}`

/** Reads the server's settings; for a batch connection in two statements, which shows whether the server accepts two. */
async function readSettings(
  driver: DriverConnection,
  kind: ConnectionKind,
): Promise<{ row: Row | undefined; acceptsSeveral: boolean }> {
  if (kind === 'batch') {
    try {
      const [row] = await runStatement(driver, `DO 0; ${SETTINGS}`)
      return { row, acceptsSeveral: true }
    } catch (error) {
      if (!isNumber(error, SYNTAX_ERROR)) throw error
    }
  }
  const [row] = await runStatement(driver, SETTINGS)
  return { row, acceptsSeveral: false }
}

/** The number of the character set in which the driver writes statements now; an option of the driver, untyped. */
export function readCharsetNumber({ config }: DriverConnection): unknown {
  return (config as { charsetNumber?: unknown }).charsetNumber
}

/** Milliseconds that the server may take to close a connection. */
const CLOSE_TIMEOUT = 3_000

/** Sends the goodbye and waits until the server has closed the connection, so that it no longer counts there. */
export async function closeConnection(connection: Connection): Promise<void> {
  const { driver, socket, ended, pendingReset } = connection
  const destroy = (): void => {
    driver.destroy()
    socket.destroy()
  }
  const timer = setTimeout(destroy, CLOSE_TIMEOUT)
  try {
    if (pendingReset !== undefined) {
      clearImmediate(pendingReset.timer)
      if (!connection.isAbandoned) await pendingReset.work?.catch(() => {})
    }
    const isOpen = !ended.signal.aborted && !connection.isAbandoned
    ended.abort(connectionEnded())
    connection.holder?.onEnd()
    if (!isOpen || socket.destroyed) return destroy()
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
      driver.end(() => {})
    })
  } finally {
    clearTimeout(timer)
  }
}
