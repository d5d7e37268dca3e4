import { configError, type Redactor } from '@tenantry/multi-tenancy/provider'
import type { RestApi } from '../control-plane/rest-api.ts'
import type { D1Settings } from '../options.ts'
import type { AccessMethod } from './access-method.ts'
import { createBindingMethod } from './binding-method.ts'
import { createDispatchMethod, type DispatchMethod } from './dispatch-method.ts'
import { createRestMethod, createRestTransport } from './rest-method.ts'

export interface AccessMethods {
  /** In the order of the option `access`. */
  readonly methods: readonly AccessMethod[]
  readonly dispatch: DispatchMethod | undefined
}

/** @throws `config_invalid` */
export function createAccessMethods(
  { access, requestTimeout }: Pick<D1Settings, 'access' | 'requestTimeout'>,
  api: RestApi,
  redactor: Redactor,
): AccessMethods {
  if (!Array.isArray(access) || access.length === 0) {
    throw configError('access', 'must list at least one access method')
  }
  const openTransport = createRestTransport(api, requestTimeout)
  let dispatch: DispatchMethod | undefined
  const methods = access.map((entry): AccessMethod => {
    if (entry?.kind === 'binding') return createBindingMethod(entry)
    if (entry?.kind === 'rest') return createRestMethod(openTransport)
    if (entry?.kind !== 'dispatch') throw configError('access', 'kind must be binding, dispatch or rest')
    if (dispatch !== undefined) throw configError('access', 'must list at most one dispatch namespace')
    dispatch = createDispatchMethod(entry, { api, openTransport, redactor, requestTimeout })
    return dispatch
  })
  return { methods, dispatch }
}
