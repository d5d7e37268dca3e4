const NETWORK =
  /^E(?:AI_AGAIN|CONNABORTED|CONNREFUSED|CONNRESET|HOSTUNREACH|NETUNREACH|NOTFOUND|PIPE|TIMEDOUT)$/

const TLS = /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY)_)/

/** Whether the network or the server's address failed: the server is unavailable, and another try may succeed. */
export function isNetworkError(error: unknown): boolean {
  const { code, syscall } = readCodes(error)
  // The file of a Unix socket is missing, or belongs to another user.
  if (syscall === 'connect' && /^E(?:NOENT|ACCES)$/.test(code)) return true
  return NETWORK.test(code)
}

/** Whether TLS failed, for example by an unknown certificate: no further try succeeds with these settings. */
export function isTlsError(error: unknown): boolean {
  return TLS.test(readCodes(error).code)
}

function readCodes(error: unknown): { readonly code: string; readonly syscall: unknown } {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown }
  return { code: String(code), syscall }
}
