import type { Reply } from '../http.ts'
import { jsonReply } from '../http.ts'
import { databaseRoutes } from './api-databases.ts'
import { queryRoutes } from './api-query.ts'
import { scriptRoutes } from './api-scripts.ts'
import { timeTravelRoutes } from './api-time-travel.ts'
import { type Call, readJson } from './call.ts'
import { ApiError, failure, success } from './envelope.ts'
import { type ApiOperation, operations } from './operations.ts'
import type { ApiOptions, Route } from './route.ts'
import { createTransfers } from './transfers.ts'

/** The REST API. Routes that are not emulated answer 501, so that no test mistakes them for "not found". */
export function createApi(options: ApiOptions): (call: Call) => Promise<Reply> {
  const { records } = options
  const transfers = createTransfers(options)
  const verify: Route = () => success({ id: '0'.repeat(32), status: 'active' })
  const routes: Readonly<Record<ApiOperation, Route>> = {
    ...databaseRoutes(options),
    ...queryRoutes(options, transfers),
    ...transfers.routes,
    ...timeTravelRoutes(options),
    ...scriptRoutes(options),
    'tokens.verify': verify,
    'tokens.verifyAccount': verify,
    // The official command line asks for usage figures, of which there are none.
    graphql: () => jsonReply(200, { data: { viewer: { accounts: [] } }, errors: null }),
  }

  const authorize = ({ headers, parameters }: Call, operation: ApiOperation): void => {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
    const granted = token === undefined ? undefined : records.tokens.get(token)
    if (token !== records.apiToken && granted === undefined)
      throw new ApiError(401, 10_000, 'Authentication error')
    const { account = records.accountId } = parameters
    if (!/^[0-9a-f]{32}$/.test(account)) {
      throw new ApiError(
        ...([404, 7003] as const),
        `Could not route to ${operations[operation].path.replace(':account', account)}, perhaps your object identifier is invalid?`,
      )
    }
    if (account !== records.accountId) {
      throw new ApiError(
        403,
        7403,
        'The given account is not valid or is not authorized to access this service',
      )
    }
    const { permissions } = operations[operation]
    if (granted === undefined || permissions.length === 0) return
    if (!permissions.some((permission) => granted.includes(permission))) {
      throw new ApiError(403, 10_000, 'Authentication error')
    }
  }

  return async (call) => {
    const { operation } = call.record
    try {
      if (operation === undefined || !(operation in routes)) {
        throw new ApiError(501, 1001, `not emulated: ${call.method} ${call.path}`)
      }
      authorize(call, operation as ApiOperation)
      const input = operation === 'scripts.put' ? {} : readJson(call.body)
      if (input === undefined) throw new ApiError(400, 7400, 'The request body is not valid JSON')
      return await routes[operation as ApiOperation](call, input)
    } catch (error) {
      if (error instanceof ApiError) return failure(error.status, error.code, error.message)
      throw error
    }
  }
}
