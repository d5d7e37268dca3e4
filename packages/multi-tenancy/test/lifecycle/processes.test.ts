import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RunningProcess } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCatalog } from '../../src/catalog.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { startReadyProcess } from '../catalog/ready-process.ts'
import { kindsHere, makeDatabase, type TestDatabase } from '../catalog/test-databases.ts'
import type { Orders } from './child-process.ts'
import { createFileProvider } from './file-provider.ts'

/** The calls of each of three processes: 50 provisions in all, then deletions and provisions in turn. */
const ROUNDS: readonly ((index: number) => Orders['rounds'][number])[] = [
  (index) => Array.from({ length: index === 0 ? 18 : 16 }, () => ['provision', 'acme']),
  (index) =>
    Array.from({ length: 6 }, (_, turn) => [(turn + index) % 2 === 0 ? 'deprovision' : 'provision', 'acme']),
]

for (const kind of await kindsHere()) {
  describe(`three processes, with their catalog on ${kind}`, () => {
    let database: TestDatabase
    let folder: string
    let children: RunningProcess[]
    beforeAll(async () => {
      database = await makeDatabase(kind)
      folder = mkdtempSync(path.join(tmpdir(), 'tenantry-processes-'))
      children = await Promise.all(
        [0, 1, 2].map((index) => {
          const rounds = ROUNDS.map((calls) => calls(index))
          const orders: Orders = { catalog: database.address, folder, rounds }
          return startReadyProcess(new URL('./child-process.ts', import.meta.url), [JSON.stringify(orders)])
        }),
      )
    })
    afterAll(async () => {
      await Promise.all(children?.map((child) => child.stop()) ?? [])
      await database?.cleanup()
      rmSync(folder, { recursive: true, force: true })
    })

    /** Runs a round in three processes concurrently and returns the result of each call. */
    async function race(round: number): Promise<string[]> {
      for (const child of children) child.send(String(round))
      const answers = await Promise.all(children.map((child) => child.receive()))
      return answers.flatMap((answer) => JSON.parse(answer) as string[])
    }
    function factory() {
      return defineFactory(createFileProvider(folder), {
        databasePrefix: 'tenant_',
        catalog: createCatalog({ db: database.open(), dialect: database.dialect }),
      })
    }
    const files = () => readdirSync(folder).filter((file) => file.endsWith('.db'))

    it('create one database in one operation for 50 concurrent provisions of one id', {
      timeout: 60_000,
    }, async () => {
      const results = await race(0)
      expect(results).toHaveLength(50)
      expect(new Set(results).size, [...new Set(results)].join('\n')).toBe(1)
      expect(results[0]).toMatch(/ 1 tenant_acme active$/)
      expect(files()).toEqual(['tenant_acme.db'])
      const { lifecycle } = factory()
      const history = await lifecycle?.operations('acme')
      expect(history?.operations.map(({ kind, state, attempt }) => [kind, state, attempt])).toEqual([
        ['provision', 'succeeded', 1],
      ])
    })

    it('leave one generation and one database after concurrent deletions and provisions', {
      timeout: 60_000,
    }, async () => {
      const results = await race(1)
      // A call is rejected only while another operation runs.
      expect(
        results.filter((result) => /^failed/.test(result) && !/^failed: conflict /.test(result)),
      ).toEqual([])
      const { lifecycle } = factory()
      const record = await lifecycle?.provision('acme')
      expect(record?.state).toBe('active')
      const report = await lifecycle?.reconcile()
      expect(report?.findings).toEqual([])
      expect(files()).toContain(`${record?.name}.db`)
      expect(files()).toHaveLength(report?.tenants ?? -1)
    })
  })
}
