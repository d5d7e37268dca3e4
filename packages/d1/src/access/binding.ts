import { configError } from '@tenantry/multi-tenancy'
import type { D1Database } from '../client/d1-database.ts'
import type { BindingAccess, Rung } from '../types.ts'

/**
 * The Worker's own bindings. A binding does not say which database it leads to: the identity stamp does, which the
 * core reads before the client is used.
 *
 * @throws `config_invalid` without an `env`
 */
export function createBindingRung({ env, bindingOf = bindingNameOf }: BindingAccess): Rung {
  if (typeof env !== 'object' || env === null)
    throw configError('access', 'binding needs the env of the Worker')
  return {
    kind: 'binding',
    async open(database) {
      const name = bindingOf({ name: database.name, uuid: database.uuid })
      if (name === undefined || !(name in env)) return undefined
      const binding = (env as Record<string, unknown>)[name]
      if (isD1Database(binding)) return binding
      throw configError('access', `env.${name} is not a D1 binding`)
    },
  }
}

/** No two names of databases have the same: a name has no upper case, and no `__` but those of its prefix. */
function bindingNameOf({ name }: { name: string }): string {
  return `DB_${name.replaceAll('-', '__').toUpperCase()}`
}

function isD1Database(value: unknown): value is D1Database {
  const binding = value as Partial<D1Database> | null
  return typeof binding?.prepare === 'function' && typeof binding.batch === 'function'
}
