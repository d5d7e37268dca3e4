import {
  createErrorMap,
  type ErrorMap,
  type Redactor,
  TenancyError,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'

/** The numbers of server errors; any other is `provider_rejected`. MySQL and MariaDB share those below 1900. */
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

/** The driver's own words, which have no code. */
const LOST = /closed state|connection lost|connection is in closed/i

/** @param redactor knows the passwords and the secret */
export function mysqlErrors(redactor: Redactor): ErrorMap {
  return createErrorMap({
    redactor,
    classify: codeOf,
    isRefusedStatement: (error) => isServerError(error) && codeOf(error) === 'provider_rejected',
  })
}

function codeOf(error: Error): TenancyErrorCode {
  if (isServerError(error)) return BY_NUMBER.get(error.errno) ?? 'provider_rejected'
  const { code } = error as { code?: unknown }
  if (code === 'PROTOCOL_SEQUENCE_TIMEOUT') return 'timeout'
  if (NETWORK.test(String(code)) || LOST.test(error.message)) return 'provider_unavailable'
  // TLS refused or unknown, an authentication the driver cannot do: settings, not a moment's trouble.
  if (/^(?:HANDSHAKE_|AUTH_SWITCH_|ERR_TLS|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO)/.test(String(code)))
    return 'provider_rejected'
  return 'internal'
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

/** Killed, going down, timed out for idleness, what it cannot read: the server has closed the connection, or is about to. */
const ENDING = [
  1053, 1079, 1080, 1152, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1290, 1792, 1836, 1927, 4031,
]

/** Whether a statement's failure leaves no doubt about its connection: the server answered, and goes on listening. */
export function leavesNoDoubt(error: unknown): boolean {
  if (error instanceof TenancyError) return error.code === 'not_supported'
  return isServerError(error) && !ENDING.includes(error.errno) && !(error as { fatal?: boolean }).fatal
}
