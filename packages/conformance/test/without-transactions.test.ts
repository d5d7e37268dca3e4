import type { TenantProvider } from '@tenantry/multi-tenancy'
import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { testProvider } from '../src/index.ts'
import { interceptKysely } from '../src/wrappers/intercept-kysely.ts'
import { memoryHarness } from './memory-harness.ts'

/** What the service is like that has batches and no transactions, and undoes no DDL: the other half of the cases. */
function plain(provider: TenantProvider<MemoryClient>): TenantProvider<MemoryClient> {
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
  const harness = memoryHarness()
  return {
    ...harness,
    provider: plain(harness.provider),
    createProvider: () => plain(harness.createProvider()),
  }
})
