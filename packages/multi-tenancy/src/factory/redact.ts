/** Keeps secrets out of errors: a provider registers every token or password it holds. */
export interface Redactor {
  /** Shorter than 6 characters is ignored: it would blank out ordinary text. */
  add(secret: string | undefined): void
  /** The text without any registered secret, plain or URL-encoded. */
  text(value: string): string
  /** A copy of an error that is safe to keep as a `cause`: name, message, code, status, stack, causes. */
  error(cause: unknown): unknown
}

const MASK = '[redacted]'

/** @param max how many secrets to remember, the oldest forgotten first (short-lived tokens come and go) */
export function createRedactor(max = 2_000): Redactor {
  const secrets = new Set<string>()

  function text(value: string): string {
    let clean = value
    for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK)
    return clean
  }

  function error(cause: unknown, depth = 0): unknown {
    if (typeof cause === 'string') return text(cause)
    if (!(cause instanceof Error) || depth > 4) return undefined
    const copy = new Error(text(cause.message))
    copy.name = text(cause.name)
    if (cause.stack !== undefined) copy.stack = text(cause.stack)
    for (const key of ['code', 'status', 'errno', 'sqlState'] as const) {
      const value = (cause as unknown as Record<string, unknown>)[key]
      if (typeof value === 'string' || typeof value === 'number') {
        Object.assign(copy, { [key]: typeof value === 'string' ? text(value) : value })
      }
    }
    if (cause.cause !== undefined) copy.cause = error(cause.cause, depth + 1)
    return copy
  }

  return {
    add(secret) {
      if (secret === undefined || secret.length < 6) return
      for (const form of new Set([secret, encodeURIComponent(secret)])) {
        secrets.delete(form)
        secrets.add(form)
      }
      for (const oldest of secrets) {
        if (secrets.size <= max) break
        secrets.delete(oldest)
      }
    },
    text,
    error: (cause) => error(cause),
  }
}
