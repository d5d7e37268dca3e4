import type { Isolation, PostgresSchemaProviderOptions } from '@tenantry/postgres-schema'
import type pg from 'pg'
import type { BenchDatabase } from './postgres-database.ts'

const call = { signal: new AbortController().signal }

/** Tenants that each have one table of a hundred notes, and how to end them. */
export interface BenchTenants {
  readonly clients: readonly pg.Pool[]
  close(): Promise<void>
}

export async function openTenants(
  database: BenchDatabase,
  count: number,
  options: Partial<PostgresSchemaProviderOptions> & { isolation: Isolation },
): Promise<BenchTenants> {
  const provider = database.provider(options)
  const prefix = `${options.isolation}_bench_`
  const locators = []
  for (let at = 0; at < count; at++) locators.push((await provider.create(`${prefix}${at}`, call)).locator)
  // As the administrator, many tenants in one statement: the measurement begins later.
  for (let from = 0; from < count; from += 250) {
    const to = Math.min(count, from + 250) - 1
    await database.admin.query(
      `DO $$ BEGIN FOR i IN ${from}..${to} LOOP IF to_regclass(format('${prefix}%s.notes', i)) IS NULL THEN ` +
        `EXECUTE format('CREATE TABLE ${prefix}%s.notes (id int PRIMARY KEY, body text)', i); ` +
        `EXECUTE format('INSERT INTO ${prefix}%s.notes SELECT g, ''note'' FROM generate_series(1, 100) g', i); END IF; END LOOP; END $$`,
    )
  }
  const verify = async (): Promise<void> => {}
  const clients = await Promise.all(
    locators.map((locator) => provider.connect({ locator, purpose: 'serve', verify }, call)),
  )
  return { clients, close: provider.close }
}

/** Tenant numbers by Zipf's law, from a seed. */
export function createZipf(count: number): () => number {
  const sums: number[] = []
  for (let at = 0, sum = 0; at < count; at++) {
    sum += 1 / (at + 1)
    sums.push(sum)
  }
  let seed = 42
  return () => {
    seed = (seed * 16807) % 2147483647
    const wanted = (seed / 2147483647) * (sums.at(-1) ?? 0)
    // A binary search, because this function runs within the measured time.
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] ?? 0) >= wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
