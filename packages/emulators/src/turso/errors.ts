/**
 * What the Platform API answers when it refuses: an HTTP status and `{"error": message}`.
 *
 * @see https://docs.turso.tech/api-reference/response-codes
 */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ApiError'
    this.status = status
  }
}

/** The 404 of a database; the wording is the API's own. */
export function databaseNotFound(name: string): ApiError {
  return new ApiError(404, `could not find database with name [${name}]: record not found`)
}

/** A part of the real API that this emulator does not have: loud, so that no test takes it for a "not found". */
export function notEmulated(what: string): ApiError {
  return new ApiError(501, `not emulated: ${what}`)
}
