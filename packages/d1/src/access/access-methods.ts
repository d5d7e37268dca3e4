import { configError, type Redactor } from '@tenantry/multi-tenancy'
import type { D1Api } from '../control-plane/rest-api.ts'
import type { D1Settings } from '../options.ts'
import type { Rung } from '../types.ts'
import { createBindingRung } from './binding.ts'
import { createDispatchRung, type DispatchRung } from './dispatch.ts'
import { createRestRung, createRestTransport } from './rest.ts'

/**
 * The ways of `access`, in its order.
 *
 * @throws `config_invalid`
 */
export function createRungs(
  { access, requestTimeout }: Pick<D1Settings, 'access' | 'requestTimeout'>,
  api: D1Api,
  redactor: Redactor,
): { rungs: readonly Rung[]; dispatch: DispatchRung | undefined } {
  if (!Array.isArray(access) || access.length === 0) throw configError('access', 'must name at least one way')
  const rest = createRestTransport(api, requestTimeout)
  let dispatch: DispatchRung | undefined
  const rungs = access.map((way): Rung => {
    if (way?.kind === 'binding') return createBindingRung(way)
    if (way?.kind === 'rest') return createRestRung(rest)
    if (way?.kind !== 'dispatch') throw configError('access', 'kind is binding, dispatch or rest')
    if (dispatch !== undefined) throw configError('access', 'only one dispatch namespace can be used')
    dispatch = createDispatchRung(way, { api, rest, redactor, requestTimeout })
    return dispatch
  })
  return { rungs, dispatch }
}
