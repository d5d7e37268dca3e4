import {
  createErrorMap,
  type ErrorMap,
  type Redactor,
  TenancyError,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'

/** The codes of server errors by number. Any other number is `provider_rejected`. MySQL and MariaDB share those below 1900. */
const CODES: readonly (readonly [TenancyErrorCode, readonly number[]])[] = [
  // Access denied, no password shown, account locked (MySQL, MariaDB), host not allowed, password expired.
  ['credentials_rejected', [1045, 1130, 1251, 1275, 1449, 1698, 1820, 1862, 3118, 4151]],
  // Too many connections, of a user or in all; out of memory; going down; network; killed; lock wait; deadlock;
  // read-only after a failover.
  [
    'provider_unavailable',
    [
      1037, 1038, 1040, 1041, 1043, 1053, 1079, 1080, 1129, 1152, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1180,
      1184, 1189, 1190, 1203, 1205, 1206, 1213, 1218, 1226, 1290, 1317, 1412, 1613, 1614, 1792, 1836, 1927,
      1930, 3169, 4031,
    ],
  ],
  ['timeout', [1907, 1969, 3024]],
  // No room on the disk, or in a table space.
  ['quota_exceeded', [1021, 1114, 1119, 3675]],
] // biome-ignore format: numbers

const BY_NUMBER: ReadonlyMap<number, TenancyErrorCode> = new Map(
  CODES.flatMap(([code, numbers]) => numbers.map((number) => [number, code] as const)),
)

const NETWORK =
  /^(?:E(?:AI_AGAIN|CONNABORTED|CONNREFUSED|CONNRESET|HOSTUNREACH|NETUNREACH|NOTFOUND|PIPE|TIMEDOUT)|PROTOCOL_CONNECTION_LOST|ER_CON_COUNT_ERROR)$/

/** Messages of the driver without a code. */
const LOST = /closed state|connection lost|connection is in closed/i
/** TLS refused or unknown, an authentication that the driver does not support: settings that must change. */
const LOGIN = /^(?:HANDSHAKE_|AUTH_SWITCH_|ERR_TLS|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO)/

/**
 * Server errors after which the server closes the connection: it was killed, the server goes down, it was idle for too
 * long, the server cannot read what it was sent.
 */
const CLOSING = [1053, 1079, 1080, 1152, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 4031]
/** The server became read-only, as after a failover: another connection may reach the new primary. */
const READ_ONLY = [1290, 1792, 1836]

/**
 * Creates the provider's error map. An app gets the driver's own error for what its statement met (a duplicate key,
 * a deadlock, a time limit), so that code which reads `err.code` or `err.errno` works. Errors of the connection get a
 * code of ours.
 *
 * @param redactor knows the passwords and the secret
 */
export function mysqlErrors(redactor: Redactor): ErrorMap {
  return createErrorMap({
    redactor,
    classify,
    isRefusedStatement: (error) => error instanceof Error && !isConnectionError(error),
  })
}

function classify(error: Error): TenancyErrorCode {
  if (isServerError(error)) return BY_NUMBER.get(error.errno) ?? 'provider_rejected'
  const code = readCode(error)
  if (code === 'PROTOCOL_SEQUENCE_TIMEOUT') return 'timeout'
  if (NETWORK.test(code) || LOST.test(error.message)) return 'provider_unavailable'
  return LOGIN.test(code) ? 'provider_rejected' : 'internal'
}

function isConnectionError(error: Error): boolean {
  if (error instanceof TenancyError) return true
  if (isServerError(error)) return CLOSING.includes(error.errno)
  const code = readCode(error)
  return NETWORK.test(code) || LOGIN.test(code) || LOST.test(error.message)
}

function readCode(error: Error): string {
  return String((error as { code?: unknown }).code)
}

/** Whether the server itself sent the error. */
export function isServerError(error: unknown): error is Error & { errno: number } {
  if (!(error instanceof Error)) return false
  const { errno, sqlState, sqlMessage } = error as {
    errno?: unknown
    sqlState?: unknown
    sqlMessage?: unknown
  }
  return typeof errno === 'number' && errno > 0 && (sqlState !== undefined || sqlMessage !== undefined)
}

/** Whether the server sent an error with one of these numbers. */
export function isNumber(error: unknown, ...numbers: readonly number[]): boolean {
  return isServerError(error) && numbers.includes(error.errno)
}

/** Whether the connection is still usable after a statement failed: the server answered, and keeps reading. */
export function leavesNoDoubt(error: unknown): boolean {
  if (error instanceof TenancyError) return error.code === 'not_supported'
  if (!isServerError(error) || (error as { fatal?: boolean }).fatal) return false
  return !CLOSING.includes(error.errno) && !READ_ONLY.includes(error.errno)
}
