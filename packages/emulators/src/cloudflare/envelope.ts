import { jsonReply, type Reply } from '../http.ts'

/** A refusal of the API: an HTTP status and one of its own error codes. */
export class ApiError extends Error {
  readonly status: number
  readonly code: number

  constructor(status: number, code: number, message: string) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
  }
}

/** A successful answer. */
export function success(result: unknown, extra: { status?: number; info?: object } = {}): Reply {
  const { status = 200, info } = extra
  const body = { success: true, errors: [], messages: [], result, ...(info && { result_info: info }) }
  return jsonReply(status, body)
}

/** A refusal as the API words it. */
export function failure(status: number, code: number, message: string): Reply {
  return jsonReply(status, { success: false, errors: [{ code, message }], messages: [], result: null })
}

/** 7404: there is no such database. */
export function databaseNotFound(id: string): ApiError {
  return new ApiError(404, 7404, `The database ${id} could not be found`)
}

/** 7400: a value of the request is not one. */
export function invalidProperty(property: string, problem: string): ApiError {
  return new ApiError(400, 7400, `Invalid property: ${property} => ${problem}`)
}

/** 7500 with status 400: SQLite refused. The same code with status 500 is an error of the service. */
export function sqlError(message: string): ApiError {
  return new ApiError(400, 7500, message)
}
