/** Keeps secrets out of errors: a provider registers every token or password it holds. */
export interface Redactor {
  /**
   * For secrets that come and go, such as minted tokens: of many the oldest are forgotten. Shorter than 6 characters is
   * ignored: it would blank out ordinary text.
   */
  add(secret: string | undefined): void
  /** As `add`, but never forgotten: for the few that an app is configured with. */
  keep(secret: string | undefined): void
  /** The text without any registered secret, plain or URL-encoded. */
  text(value: string): string
  /** A copy of an error that is safe to keep as a `cause`: name, message, code, status, stack, causes. */
  error(cause: unknown): unknown
}

const MASK = '[redacted]'

/** @param max how many of the secrets that come and go to remember */
export function createRedactor(max = 2_000): Redactor {
  const permanent = new Set<string>()
  const temporary = new Set<string>()

  function text(value: string): string {
    let clean = value
    for (const secrets of [permanent, temporary]) {
      for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK)
    }
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
      for (const form of listForms(secret)) {
        temporary.delete(form)
        temporary.add(form)
      }
      for (const oldest of temporary) {
        if (temporary.size <= max) break
        temporary.delete(oldest)
      }
    },
    keep(secret) {
      for (const form of listForms(secret)) permanent.add(form)
    },
    text,
    error: (cause) => error(cause),
  }
}

/** A secret as it stands in a text: plain or URL-encoded. */
function listForms(secret: string | undefined): Iterable<string> {
  if (secret === undefined || secret.length < 6) return []
  return new Set([secret, encodeURIComponent(secret)])
}
