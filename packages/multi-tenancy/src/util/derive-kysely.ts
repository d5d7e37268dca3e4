import type { Driver, Kysely } from 'kysely'

/**
 * A Kysely that runs everything through `driver`. The class is taken from `base`, so that an app which has no Kysely
 * migrations need not load Kysely.
 */
export function deriveKysely(
  base: Kysely<any>,
  driver: Driver,
  introspect: () => Kysely<any>['introspection'] = () => base.introspection,
): Kysely<any> {
  const executor = base.getExecutor()
  const Derived = base.constructor as new (config: object) => Kysely<any>
  return new Derived({
    dialect: {
      createAdapter: () => executor.adapter,
      createDriver: () => driver,
      createIntrospector: introspect,
      createQueryCompiler: () => ({
        compileQuery: (...[node, id]: Parameters<typeof executor.compileQuery>) =>
          executor.compileQuery(executor.transformQuery(node, id), id),
      }),
    },
  })
}
