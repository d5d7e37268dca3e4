import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { testProvider } from '../src/index.ts'
import { interceptKysely } from '../src/wrappers/intercept-kysely.ts'
import { createMemoryHarness } from './memory-harness.ts'

/** Removes transactions and transactional DDL, which the other half of the cases needs. */
function withoutTransactions({
  batchWithoutForeignKeys: _,
  ...provider
}: TenantProvider<MemoryClient>): TenantProvider<MemoryClient> {
  return {
    ...provider,
    capabilities: { ...provider.capabilities, transactions: false, transactionalDdl: false },
    async batch(client, statements) {
      for (const statement of statements) await provider.query(client, statement)
    },
    kysely: (client) =>
      interceptKysely(client, new Set(), async (member, _sql, run) => {
        if (member === 'kysely.query') return run()
        throw new TenancyError('not_supported', 'This database has no transactions')
      }),
  }
}

testProvider('memory without transactions', () => {
  const harness = createMemoryHarness()
  return {
    ...harness,
    provider: withoutTransactions(harness.provider),
    createProvider: () => withoutTransactions(harness.createProvider()),
  }
})
