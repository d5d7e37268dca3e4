/** The codes of Node, Deno (as Node) and Bun for a server that is there and takes no connection, or is not reached. */
const REFUSED: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ConnectionRefused',
])

/** The code of a host name that has no address. */
const UNRESOLVABLE = 'ENOTFOUND'

/** Why no connection could be opened, from the codes of an error and its causes; `undefined` for another failure. */
export function connectionFailure(error: unknown): 'refused' | 'unresolvable' | undefined {
  let cause = error
  for (let depth = 0; depth < 6 && typeof cause === 'object' && cause !== null; depth++) {
    const { code, cause: next } = cause as { code?: unknown; cause?: unknown }
    if (code === UNRESOLVABLE) return 'unresolvable'
    if (REFUSED.has(code)) return 'refused'
    cause = next
  }
  return undefined
}
