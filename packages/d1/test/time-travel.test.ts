import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type D1RestorePoint, type D1TimeTravel, d1Info } from '../src/index.ts'
import { failure, startWorld, type World } from './test-account.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.reset())
afterAll(() => world?.emulator.close())

const FIRST = { '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' }
const SECOND = { ...FIRST, '002': 'DROP TABLE notes', '003': 'CREATE TABLE other (n INTEGER)' }

test('a bookmark is kept before migrations change a database, and leads back to it', async () => {
  const points: D1RestorePoint[] = []
  const onRestorePoint = async (point: D1RestorePoint): Promise<void> => {
    points.push(point)
  }
  await world.factory({ migrations: FIRST, onRestorePoint }).provision('back')
  expect(points, 'a new database has nothing to go back to').toEqual([])
  await world.emulator.oracle.execute('tenant_back', 'INSERT INTO notes VALUES (7)')
  const factory = world.factory({
    migrations: SECOND,
    onRestorePoint,
    createAdapters: (client) => ({ timeTravel: d1Info(client).timeTravel }) as never,
  })
  expect(await factory.migrate('back')).toEqual(['002', '003'])
  expect(points).toMatchObject([{ name: 'tenant_back', before: 'migrate', migrations: ['002', '003'] }])

  const { timeTravel } = (await factory.getAdapters('back')) as unknown as { timeTravel: D1TimeTravel }
  const { undo } = await timeTravel.restore({ bookmark: points[0]?.bookmark ?? '' })
  expect(points[1]).toMatchObject({ before: 'restore', migrations: [] })
  expect(await world.emulator.oracle.execute('tenant_back', 'SELECT id FROM notes')).toEqual([{ id: 7 }])
  await timeTravel.restore({ bookmark: undo })
  expect(await world.emulator.oracle.execute('tenant_back', 'SELECT count(*) AS n FROM other')).toEqual([
    { n: 0 },
  ])
})

test('no bookmark, no migration', async () => {
  const onRestorePoint = async (): Promise<void> => {}
  await world.factory({ migrations: FIRST, onRestorePoint }).provision('careful')
  const factory = world.factory({ migrations: SECOND, onRestorePoint, stepTimeout: 2_000 })
  world.emulator.faults.fail({ operation: 'databases.bookmark', times: 100 })
  expect((await failure(factory.migrate('careful'))).code).toBe('provider_unavailable')
  expect(await world.emulator.oracle.execute('tenant_careful', 'SELECT count(*) AS n FROM notes')).toEqual([
    { n: 0 },
  ])
})

test('a moment out of reach is refused', async () => {
  const factory = world.factory({
    createAdapters: (client) => ({ timeTravel: d1Info(client).timeTravel }) as never,
  })
  await factory.provision('early')
  const { timeTravel } = (await factory.getAdapters('early')) as unknown as { timeTravel: D1TimeTravel }
  expect((await failure(timeTravel.restore({ timestamp: new Date(0) }))).code).toBe('provider_rejected')
  expect((await failure(timeTravel.restore({ bookmark: 'nonsense' }))).code).toBe('provider_rejected')
})
