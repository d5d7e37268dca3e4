import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WAITING } from '../../src/catalog/leases.ts'
import type { Guard } from '../../src/catalog/tenants.ts'
import { kindsHere, makeDatabase, type TestDatabase } from './test-databases.ts'
import { asId, createStores, runningOperation, type Stores, tenantRecord } from './test-stores.ts'

const YEAR_9999 = 253_402_300_799_999

for (const kind of await kindsHere()) {
  describe(`the catalog on ${kind}`, () => {
    let database: TestDatabase
    /** Two connections, as of two processes. */
    let one: Stores
    let other: Stores

    beforeAll(async () => {
      database = await makeDatabase(kind)
      one = createStores(database.open(), database.dialect)
      other = createStores(database.open(), database.dialect)
      await one.ready()
      await other.ready()
    })
    afterAll(() => database?.cleanup())

    it('compares ids byte by byte', async () => {
      const lower = await one.tenants.insert(tenantRecord('resume'))
      const upper = await one.tenants.insert(tenantRecord('RESUME'))
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

    it('finds an operation and a request key by exactly their text', async () => {
      const operation = runningOperation({ id: 'Key-One', params: { requestHash: 'h' } })
      await one.operations.record(tenantRecord('keys', { operation }), 'Order-1')
      expect((await one.operations.get('Key-One'))?.id).toBe('Key-One')
      expect((await one.operations.getByRequest('Order-1'))?.params.requestHash).toBe('h')
      for (const alias of ['key-one', 'KEY-ONE', 'Key-One ']) {
        expect(await one.operations.get(alias), alias).toBeUndefined()
      }
      for (const alias of ['order-1', 'ORDER-1', 'Order-1 ']) {
        expect(await one.operations.getByRequest(alias), alias).toBeUndefined()
      }
    })

    it('keeps times, numbers and long texts of any script as they were', async () => {
      const text = '\u201cGröße\u201d 日本語 😀 '
      const locator = { uuid: 'u', big: text.repeat(600), port: 5432, tls: true, none: null }
      const error = { code: 'internal', message: text.repeat(500), step: 'migrate', operation: 'op' } as const
      const params = { metadata: { name: text.repeat(60) }, retention: YEAR_9999 }
      const operation = runningOperation({ params, leaseUntil: YEAR_9999 })
      const written = tenantRecord('long', {
        locator,
        error,
        metadata: { name: text.repeat(60), limit: Number.MAX_SAFE_INTEGER, half: 0.5 },
        schemaVersion: 'größe_0001',
        createdAt: 1_764_000_000_123,
        purgeAfter: YEAR_9999,
        generation: 2_000_000_000,
        operation,
      })
      await one.tenants.insert(written)
      expect(await other.tenants.latest(asId('long'))).toEqual(written)
      expect(await other.tenants.getByOperation(operation.id)).toEqual(written)
      await one.operations.record(written, undefined)
      expect(await other.operations.get(operation.id)).toMatchObject({ params, generation: 2_000_000_000 })
      const step = { operationId: operation.id, attempt: 1, position: 0 }
      await one.operations.beginStep(step, 'create')
      await one.operations.endStep(step, 'failed', text.repeat(60))
      expect((await other.operations.steps(operation.id))[0]?.detail).toBe(text.repeat(60))
    })

    it('gives a tenant to exactly one of the operations that begin concurrently', async () => {
      const ref = { id: asId('raced'), generation: 1 }
      await one.tenants.insert(tenantRecord('raced'))
      for (let round = 0; round < 25; round++) {
        const before = await one.tenants.update(ref, {}, { operation: undefined })
        const begin = (stores: Stores, id: string, guard: object) =>
          stores.tenants.update(before.record, guard, { operation: runningOperation({ id }) })
        const guard = round % 2 === 0 ? { operation: null } : { revision: before.record.revision }
        const results = await Promise.all([
          begin(one, `a${round}`, guard),
          begin(other, `b${round}`, guard),
          begin(one, `c${round}`, guard),
        ])
        const holder = (await other.tenants.latest(ref.id))?.operation?.id
        const winners = results.filter(({ changed }) => changed)
        expect(winners.map(({ record }) => record.operation?.id)).toEqual([holder])
        for (const { record } of results) expect(record.operation?.id).toBe(holder)
      }
    })

    it('changes nothing where the guard does not hold', async () => {
      const operation = runningOperation({ id: 'op' })
      const record = await one.tenants.insert(tenantRecord('guarded', { operation }))
      for (const guard of [
        { states: ['suspended', 'deleted'] },
        { operation: null },
        { operation: { id: 'another', owner: 'owner' } },
        { operation: { id: 'op', owner: 'another' } },
        { revision: 'another' },
        { states: ['active'], operation, revision: 'another' },
      ] satisfies Guard[]) {
        const result = await one.tenants.update(record, guard, { state: 'purged' })
        expect([result.changed, result.record]).toEqual([false, record])
      }
      const all = { states: ['active'] as const, operation, revision: record.revision }
      expect((await one.tenants.update(record, all, { state: 'suspended' })).changed).toBe(true)
    })

    it('of many who write one incarnation one does, and all learn which', async () => {
      const stores = [one, other]
      const records = await Promise.all(
        Array.from({ length: 10 }, async (_, index) =>
          stores[index % 2]?.tenants.insert(tenantRecord('first')),
        ),
      )
      expect(new Set(records.map((record) => record?.uid)).size).toBe(1)
      const rows = await one.db
        .selectFrom('tenantry_tenants')
        .where('tenant_id', '=', 'first')
        .selectAll()
        .execute()
      expect(rows.map(({ uid }) => uid)).toEqual([records[0]?.uid])
    })

    it('no two incarnations have one physical name', async () => {
      await one.tenants.insert(tenantRecord('named', { name: 'same' }))
      await expect(one.tenants.insert(tenantRecord('renamed', { name: 'same' }))).rejects.toMatchObject({
        code: 'provider_rejected',
      })
      expect(await one.tenants.latest(asId('renamed'))).toBeUndefined()
    })

    it('gives an operation whose lease has expired to exactly one of two runners', async () => {
      for (let round = 0; round < 15; round++) {
        const operation = runningOperation({ leaseUntil: Date.now() - 1 })
        const expired = await one.tenants.insert(tenantRecord(`expired-${round}`, { operation }))
        const until = Date.now() + 60_000
        const [first, second] = await Promise.all([
          one.tenants.takeOver(expired, 'a', until),
          other.tenants.takeOver(expired, 'b', until),
        ])
        const [winner] = [first, second].filter((record) => record !== undefined)
        expect([first, second].filter((record) => record !== undefined)).toHaveLength(1)
        const taken = winner?.operation
        if (taken === undefined) throw new Error('No runner has taken it over')
        expect(taken.attempt).toBe(2)
        const loser = { ...taken, owner: taken.owner === 'a' ? 'b' : 'a' }
        expect(await one.tenants.renewLease(expired, loser, until + 1)).toBe(false)
        expect(await one.tenants.renewLease(expired, taken, until + 1)).toBe(true)
        expect(await one.tenants.renewLease(expired, taken, until + 1)).toBe(true)
      }
    })

    it('takes an operation over only from the attempt that was read', async () => {
      const operation = runningOperation({ leaseUntil: Date.now() - 1 })
      const read = await one.tenants.insert(tenantRecord('read', { operation }))
      // Another runner has taken it over since, and its lease has expired as well.
      expect((await other.tenants.takeOver(read, 'quick', Date.now() - 1))?.operation?.attempt).toBe(2)
      expect(await one.tenants.takeOver(read, 'slow', Date.now() + 60_000)).toBeUndefined()
      expect((await one.tenants.get(read))?.operation).toMatchObject({ attempt: 2, owner: 'quick' })
    })

    it('gives an operation with a live lease only to its own runner', async () => {
      const operation = runningOperation()
      const alive = await one.tenants.insert(tenantRecord('alive', { operation }))
      expect(await other.tenants.takeOver(alive, 'thief', Date.now() + 60_000)).toBeUndefined()
      const again = await other.tenants.takeOver(alive, 'owner', Date.now() + 60_000)
      expect(again?.operation?.attempt).toBe(2)
      await one.tenants.update(alive, { operation }, { operation: undefined })
      expect(await other.tenants.takeOver(alive, 'owner', 0)).toBeUndefined()
      expect(await one.tenants.renewLease(alive, operation, 1)).toBe(false)
    })

    it('gives an operation that waits for an executor to the first runner', async () => {
      const operation = runningOperation({ owner: WAITING })
      const waiting = await one.tenants.insert(tenantRecord('waiting', { operation }))
      const until = Date.now() + 60_000
      const runners = await Promise.all(
        ['a', 'b', 'c'].map((owner, index) =>
          (index % 2 ? one : other).tenants.takeOver(waiting, owner, until),
        ),
      )
      expect(runners.filter((record) => record !== undefined)).toHaveLength(1)
    })

    it('keeps the first end of an operation that is written', async () => {
      const operation = runningOperation()
      await one.operations.record(tenantRecord('ended', { operation }), undefined)
      await one.operations.finish(operation.id, undefined)
      const finished = await one.operations.get(operation.id)
      expect(finished?.state).toBe('succeeded')
      await other.operations.finish(operation.id, {
        code: 'internal', message: 'late', step: undefined, operation: operation.id,
      }) // biome-ignore format: one line is enough
      expect(await one.operations.get(operation.id)).toEqual(finished)
    })

    it('writes an operation into the history once, with its latest attempt', async () => {
      const operation = runningOperation()
      const holder = tenantRecord('recorded', { operation })
      const later = { ...holder, operation: { ...operation, attempt: 3 } }
      await Promise.all([
        one.operations.record(holder, 'a-key'),
        other.operations.record(later, undefined),
        one.operations.record(holder, undefined),
      ])
      expect(await one.operations.listOfTenant(asId('recorded'), undefined, 10)).toMatchObject([
        { id: operation.id, attempt: 3, state: 'running' },
      ])
    })

    it('lists the history that a runner did not complete, but no operation under way', async () => {
      const [ended, running, recent] = [runningOperation(), runningOperation(), runningOperation()]
      await one.operations.record(tenantRecord('left', { operation: ended }), undefined)
      const holder = await one.tenants.insert(tenantRecord('busy', { operation: running }))
      await one.operations.record(holder, undefined)
      const unfinished = await one.operations.listUnfinished(Date.now() + 1_000, 100)
      expect(unfinished.map(({ id }) => id)).toContain(ended.id)
      expect(unfinished.map(({ id }) => id)).not.toContain(running.id)
      await one.operations.record(tenantRecord('new', { operation: recent }), undefined)
      const old = await one.operations.listUnfinished(Date.now() - 60_000, 100)
      expect(old.map(({ id }) => id)).not.toContain(recent.id)
    })

    it('lists expired leases and purgeable tenants, the longest waiting first', async () => {
      const now = Date.now()
      for (const [id, ago] of [['s1', 30], ['s2', 10], ['s3', 20], ['s4', -10_000]] as const) {
        const operation = runningOperation({ id, leaseUntil: now - ago })
        await one.tenants.insert(tenantRecord(`stuck-${id}`, { operation }))
        await one.tenants.insert(tenantRecord(`due-${id}`, { state: 'deleted', purgeAfter: now - ago, updatedAt: now - ago }))
      } // biome-ignore format: one list
      const expired = (await one.tenants.listExpiredLeases(now, 100)).filter(({ id }) =>
        id.startsWith('stuck-'),
      )
      expect(expired.map(({ id }) => id)).toEqual(['stuck-s1', 'stuck-s3', 'stuck-s2'])
      const due = (await one.tenants.listPurgeable(now, 100)).filter(({ id }) => id.startsWith('due-'))
      expect(due.map(({ id }) => id)).toEqual(['due-s1', 'due-s3', 'due-s2'])
    })
  })
}
