import { configError } from '@tenantry/multi-tenancy/provider'
import type { D1Database } from '../client/d1-database.ts'
import type { BindingAccess } from '../types.ts'
import type { AccessMethod } from './access-method.ts'

/**
 * The Worker's own bindings. A binding does not reveal which database it is bound to: the identity stamp does, which
 * the core reads before the client is used.
 *
 * @throws `config_invalid` without an `env`
 */
export function createBindingMethod({ env, bindingOf = toBindingName }: BindingAccess): AccessMethod {
  if (typeof env !== 'object' || env === null) {
    throw configError('access', "kind binding needs the Worker's env")
  }
  return {
    kind: 'binding',
    async open({ name, uuid }) {
      const bindingName = bindingOf({ name, uuid })
      if (bindingName === undefined || !(bindingName in env)) return undefined
      const binding = (env as Record<string, unknown>)[bindingName]
      if (isD1Database(binding)) return binding
      throw configError('access', `env.${bindingName} is not a D1 binding`)
    },
  }
}

/** No two database names share a binding: names are in lower case, and contain `__` in their prefix only. */
function toBindingName({ name }: { name: string }): string {
  return `DB_${name.replaceAll('-', '__').toUpperCase()}`
}

function isD1Database(value: unknown): value is D1Database {
  const binding = value as Partial<D1Database> | null
  return typeof binding?.prepare === 'function' && typeof binding.batch === 'function'
}
