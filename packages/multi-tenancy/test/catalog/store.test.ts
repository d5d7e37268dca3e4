import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kindsHere, makeDatabase, type TestDatabase } from './test-databases.ts'
import { asId, newOperation, type Stores, storesOf, tenantRow } from './test-stores.ts'

const YEAR_9999 = 253_402_300_799_999

for (const kind of await kindsHere()) {
  describe(`the catalog on ${kind}`, () => {
    let database: TestDatabase
    /** Two connections, as of two processes. */
    let one: Stores
    let other: Stores

    beforeAll(async () => {
      database = await makeDatabase(kind)
      one = storesOf(database.open(), database.dialect)
      other = storesOf(database.open(), database.dialect)
      await one.ready()
      await other.ready()
    })
    afterAll(() => database?.cleanup())

    it('compares ids byte by byte', async () => {
      const lower = await one.tenants.insert(tenantRow('resume'))
      const upper = await one.tenants.insert(tenantRow('RESUME'))
      expect((await one.tenants.latest(asId('resume')))?.uid).toBe(lower.uid)
      expect((await one.tenants.latest(asId('RESUME')))?.uid).toBe(upper.uid)
      for (const alias of ['Resume', 'résumé', 'resume ', ' resume', 'ｒesume', '0']) {
        expect(await one.tenants.latest(asId(alias)), alias).toBeUndefined()
        expect(await one.tenants.get({ id: asId(alias), generation: 1 }), alias).toBeUndefined()
      }
      expect(await one.tenants.list({ idPrefix: 'RES' }, undefined, 10)).toEqual([upper])
      const { changed } = await one.tenants.update(upper, {}, { state: 'suspended' })
      expect(changed).toBe(true)
      expect((await one.tenants.latest(asId('resume')))?.state).toBe('active')
    })

    it('finds an operation and a request key by their exact text', async () => {
      const operation = newOperation('keys', { id: 'Key-One', request: { key: 'Order-1', hash: 'h' } })
      await one.operations.insert(operation)
      expect((await one.operations.get('Key-One'))?.id).toBe('Key-One')
      expect((await one.operations.byRequest('Order-1'))?.hash).toBe('h')
      for (const alias of ['key-one', 'KEY-ONE', 'Key-One ']) {
        expect(await one.operations.get(alias), alias).toBeUndefined()
      }
      for (const alias of ['order-1', 'ORDER-1', 'Order-1 ']) {
        expect(await one.operations.byRequest(alias), alias).toBeUndefined()
      }
    })

    it('stores times, numbers and long texts of any script exactly', async () => {
      const text = '“Größe” 日本語 😀 '
      const locator = JSON.stringify({ uuid: 'u', big: text.repeat(600), port: 5432, tls: true, none: null })
      const error = { code: 'internal', message: text.repeat(500), step: 'migrate', operation: 'op' }
      const row = tenantRow('long', {
        locator,
        error: JSON.stringify(error),
        metadata: JSON.stringify({ name: text.repeat(60), limit: Number.MAX_SAFE_INTEGER, half: 0.5 }),
        schema_version: 'größe_0001',
        created_at: 1_764_000_000_123,
        purge_after: YEAR_9999,
        generation: 2_000_000_000,
      })
      await one.tenants.insert(row)
      const record = await other.tenants.latest(asId('long'))
      expect(record).toMatchObject({
        generation: 2_000_000_000,
        locator: JSON.parse(locator),
        error,
        metadata: JSON.parse(row.metadata),
        schemaVersion: 'größe_0001',
        createdAt: 1_764_000_000_123,
        purgeAfter: YEAR_9999,
      })
      const params = { metadata: { name: text.repeat(60) }, retention: YEAR_9999 }
      const operation = newOperation('long', { params, leaseUntil: YEAR_9999 })
      await one.operations.insert(operation)
      expect(await other.operations.get(operation.id)).toMatchObject({ params, leaseUntil: YEAR_9999 })
      await one.operations.beginStep(operation.id, 1, 0, 'create')
      await one.operations.endStep(operation.id, 1, 0, 'failed', text.repeat(60))
      expect((await other.operations.steps(operation.id))[0]?.detail).toBe(text.repeat(60))
    })

    it('lets exactly one of two concurrent callers lock a tenant', async () => {
      await one.tenants.insert(tenantRow('raced'))
      for (let round = 0; round < 25; round++) {
        const before = await one.tenants.update(
          { id: asId('raced'), generation: 1 },
          {},
          { operation_id: null },
        )
        const take = (stores: Stores, operation: string, guard: object) =>
          stores.tenants.update(before.record, guard, { operation_id: operation })
        const guard = round % 2 === 0 ? { operation: null } : { revision: before.record.revision }
        const results = await Promise.all([
          take(one, `a${round}`, guard),
          take(other, `b${round}`, guard),
          take(one, `c${round}`, guard),
        ])
        const held = (await other.tenants.latest(asId('raced')))?.operation
        const winners = results.filter(({ changed }) => changed)
        expect(winners.map(({ record }) => record.operation)).toEqual([held])
        for (const { record } of results) expect(record.operation).toBe(held)
      }
    })

    it('changes no row when the guard does not match', async () => {
      const made = await one.tenants.insert(tenantRow('guarded', { operation_id: 'op' }))
      for (const guard of [
        { states: ['suspended', 'deleted'] as const },
        { operation: null },
        { operation: 'another' },
        { revision: 'another' },
        { states: ['active'] as const, operation: 'op', revision: 'another' },
      ]) {
        const { record, changed } = await one.tenants.update(made, guard, { state: 'purged' })
        expect([changed, record.state, record.revision]).toEqual([false, 'active', made.revision])
      }
      const all = { states: ['active'] as const, operation: 'op', revision: made.revision }
      expect((await one.tenants.update(made, all, { state: 'suspended' })).changed).toBe(true)
    })

    it('inserts a generation once for concurrent callers and returns it to all', async () => {
      const stores = [one, other]
      const made = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => stores[index % 2]?.tenants.insert(tenantRow('first'))),
      )
      expect(new Set(made.map((record) => record?.uid)).size).toBe(1)
      const rows = await one.db
        .selectFrom('tenantry_tenants')
        .where('tenant_id', '=', 'first')
        .selectAll()
        .execute()
      expect(rows.map(({ uid }) => uid)).toEqual([made[0]?.uid])
    })

    it('rejects a second generation with the same physical name', async () => {
      await one.tenants.insert(tenantRow('named', { name: 'same' }))
      await expect(one.tenants.insert(tenantRow('renamed', { name: 'same' }))).rejects.toMatchObject({
        code: 'provider_rejected',
      })
      expect(await one.tenants.latest(asId('renamed'))).toBeUndefined()
    })

    it('lets exactly one of two callers take over an operation', async () => {
      for (let round = 0; round < 15; round++) {
        const operation = newOperation('dead', { leaseUntil: Date.now() - 1 })
        await one.operations.insert(operation)
        const dead = await one.operations.get(operation.id)
        if (dead === undefined) throw new Error('The operation is not there')
        const until = Date.now() + 60_000
        const [first, second] = await Promise.all([
          one.operations.claim(dead, 'a', until),
          other.operations.claim(dead, 'b', until),
        ])
        expect([first, second].filter((claimed) => claimed !== undefined)).toHaveLength(1)
        expect((first ?? second)?.attempt).toBe(2)
        const [winner, loser] = first === undefined ? ['b', 'a'] : ['a', 'b']
        expect(await one.operations.renew(dead.id, loser, until + 1)).toBe(false)
        expect(await one.operations.renew(dead.id, winner, until + 1)).toBe(true)
        expect(await one.operations.renew(dead.id, winner, until + 1)).toBe(true)
      }
    })

    it('takes an operation over only from the runner that was read', async () => {
      const operation = newOperation('seen', { leaseUntil: Date.now() - 1 })
      await one.operations.insert(operation)
      const seen = await one.operations.get(operation.id)
      if (seen === undefined) throw new Error('The operation is not there')
      // Another took it over since, and its lease has ended as well.
      expect((await other.operations.claim(seen, 'quick', Date.now() - 1))?.attempt).toBe(2)
      expect(await one.operations.claim(seen, 'slow', Date.now() + 60_000)).toBeUndefined()
      expect((await one.operations.get(operation.id))?.attempt).toBe(2)
    })

    it('rejects a takeover while the lease of another runner is valid', async () => {
      const operation = newOperation('alive')
      await one.operations.insert(operation)
      const alive = await one.operations.get(operation.id)
      if (alive === undefined) throw new Error('The operation is not there')
      expect(await other.operations.claim(alive, 'thief', Date.now() + 60_000)).toBeUndefined()
      expect((await other.operations.claim(alive, 'owner', Date.now() + 60_000))?.attempt).toBe(2)
      await one.operations.finish(operation.id, undefined)
      const finished = await one.operations.get(operation.id)
      expect(finished?.state).toBe('succeeded')
      if (finished) expect(await other.operations.claim(finished, 'owner', 0)).toBeUndefined()
      expect(await one.operations.renew(operation.id, 'owner', 1)).toBe(false)
      // What became of it stands.
      await one.operations.finish(operation.id, {
        code: 'internal', message: 'late', step: undefined, operation: operation.id,
      }) // biome-ignore format: one line is enough
      expect(await one.operations.get(operation.id)).toEqual(finished)
    })

    it('rejects a takeover of an operation that no longer exists', async () => {
      const operation = newOperation('gone', { leaseUntil: 0 })
      await one.operations.insert(operation)
      const dead = await one.operations.get(operation.id)
      await one.operations.remove(operation.id)
      if (dead) expect(await other.operations.claim(dead, 'late', 1)).toBeUndefined()
    })

    it('inserts a request key once for concurrent callers', async () => {
      const stores = [one, other]
      const request = { key: crypto.randomUUID(), hash: 'h' }
      const written = await Promise.all(
        Array.from({ length: 10 }, async (_, index) =>
          stores[index % 2]?.operations.insert(newOperation(`asked${index}`, { request })),
        ),
      )
      expect(written.filter((mine) => mine)).toHaveLength(1)
    })

    it('lists stuck and due tenants, the longest waiting first', async () => {
      const now = Date.now()
      for (const [id, ago] of [['s1', 30], ['s2', 10], ['s3', 20], ['s4', -10_000]] as const) {
        await one.operations.insert(newOperation('stuck', { id, leaseUntil: now - ago }))
        await one.tenants.insert(tenantRow(`due-${id}`, { state: 'deleted', purge_after: now - ago, updated_at: now - ago }))
      } // biome-ignore format: one list
      const stuck = (await one.operations.stuck(now, 100)).filter(({ tenantId }) => tenantId === 'stuck')
      expect(stuck.map(({ id }) => id)).toEqual(['s1', 's3', 's2'])
      const due = (await one.tenants.due(now, 100)).filter(({ id }) => id.startsWith('due-'))
      expect(due.map(({ id }) => id)).toEqual(['due-s1', 'due-s3', 'due-s2'])
    })
  })
}
