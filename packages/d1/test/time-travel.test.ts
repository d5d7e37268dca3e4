import { captureError } from '@tenantry/test-support'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type D1RestorePoint, type D1TimeTravel, d1Info } from '../src/index.ts'
import { startTestAccount, type TestAccount } from './test-account.ts'

let account: TestAccount
beforeAll(async () => {
  account = await startTestAccount()
})
afterEach(() => account.reset())
afterAll(() => account?.emulator.close())

const FIRST = { '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' }
const SECOND = { ...FIRST, '002': 'DROP TABLE notes', '003': 'CREATE TABLE other (n INTEGER)' }

test('onRestorePoint receives a bookmark before migrations, and restoring it undoes them', async () => {
  const points: D1RestorePoint[] = []
  const onRestorePoint = async (point: D1RestorePoint): Promise<void> => {
    points.push(point)
  }
  await account.createFactory({ migrations: FIRST, onRestorePoint }).provision('back')
  expect(points, 'a new database has no earlier state').toEqual([])
  await account.emulator.oracle.execute('tenant_back', 'INSERT INTO notes VALUES (7)')
  const factory = account.createFactory({
    migrations: SECOND,
    onRestorePoint,
    createAdapters: (client) => ({ timeTravel: d1Info(client).timeTravel }) as never,
  })
  expect(await factory.migrate('back')).toEqual(['002', '003'])
  expect(points).toMatchObject([{ name: 'tenant_back', before: 'migrate', migrations: ['002', '003'] }])

  const { timeTravel } = (await factory.getAdapters('back')) as unknown as { timeTravel: D1TimeTravel }
  const { undo } = await timeTravel.restore({ bookmark: points[0]?.bookmark ?? '' })
  expect(points[1]).toMatchObject({ before: 'restore', migrations: [] })
  expect(await account.emulator.oracle.execute('tenant_back', 'SELECT id FROM notes')).toEqual([{ id: 7 }])
  await timeTravel.restore({ bookmark: undo })
  expect(await account.emulator.oracle.execute('tenant_back', 'SELECT count(*) AS n FROM other')).toEqual([
    { n: 0 },
  ])
})

test('no migration runs without its bookmark', async () => {
  const onRestorePoint = async (): Promise<void> => {}
  await account.createFactory({ migrations: FIRST, onRestorePoint }).provision('careful')
  const factory = account.createFactory({ migrations: SECOND, onRestorePoint, stepTimeout: 2_000 })
  account.emulator.faults.fail({ operation: 'databases.bookmark', times: 100 })
  expect((await captureError(factory.migrate('careful'))).code).toBe('provider_unavailable')
  expect(await account.emulator.oracle.execute('tenant_careful', 'SELECT count(*) AS n FROM notes')).toEqual([
    { n: 0 },
  ])
})

test('a moment that Time Travel does not reach is rejected', async () => {
  const factory = account.createFactory({
    createAdapters: (client) => ({ timeTravel: d1Info(client).timeTravel }) as never,
  })
  await factory.provision('early')
  const { timeTravel } = (await factory.getAdapters('early')) as unknown as { timeTravel: D1TimeTravel }
  expect((await captureError(timeTravel.restore({ timestamp: new Date(0) }))).code).toBe('provider_rejected')
  expect((await captureError(timeTravel.restore({ bookmark: 'nonsense' }))).code).toBe('provider_rejected')
})
