import { type KyselyPlugin, sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { type MigrationSource, migrate, pendingMigrations } from '../../src/database/migrations/index.ts'
import {
  ATOMIC,
  BATCH_ONLY,
  createOptions,
  EFFECTS,
  effect,
  type Handle,
  JOURNALED,
  memory,
  openHandle,
  readDirty,
  readEffects,
  readJournal,
  readLock,
  Unreachable,
} from './test-database.ts'

const kysely = (what: string) => ({
  up: async (db: any) => {
    await db.insertInto('effects').values({ what }).execute()
  },
})

const SOURCE: MigrationSource = {
  '1': `${EFFECTS}; ${effect('1')}`,
  '2': effect('2'),
  '3': kysely('3'),
  '4': `${effect('4a')}; ${effect('4b')};`,
}
const NAMES = ['1', '2', '3', '4']
const EFFECTS_OF_ALL = ['1', '2', '3', '4a', '4b']

/** Calls since the last call of this. */
function countCalls({ calls }: Handle): Handle['calls'] {
  const counted = { ...calls }
  Object.assign(calls, { query: 0, batch: 0, transaction: 0 })
  return counted
}

describe.each([
  ['atomic', ATOMIC],
  ['journaled', JOURNALED],
  ['batch only', BATCH_ONLY],
])('migrate, %s', (_, capabilities) => {
  it('applies every migration once, in order, and says which', async () => {
    const handle = memory(capabilities)
    expect(await pendingMigrations(createOptions(handle, SOURCE))).toEqual(NAMES)
    expect(await migrate(createOptions(handle, SOURCE))).toEqual(NAMES)
    expect(readEffects(handle.db)).toEqual(EFFECTS_OF_ALL)
    expect(readJournal(handle.db).map(({ name, state, statement }) => [name, state, statement])).toEqual([
      ['1', 'done', 2],
      ['2', 'done', 1],
      ['3', 'done', 1],
      ['4', 'done', 2],
    ])
    expect(readDirty(handle.db)).toBeNull()
    expect(readLock(handle.db)).toMatchObject({ expires_at: 0 })
    expect(await pendingMigrations(createOptions(handle, SOURCE))).toEqual([])
  })

  it('costs one query when nothing is pending', async () => {
    const handle = memory(capabilities)
    await migrate(createOptions(handle, SOURCE))
    countCalls(handle)
    expect(await migrate(createOptions(handle, SOURCE))).toEqual([])
    expect(countCalls(handle)).toEqual({ query: 1, batch: 0, transaction: 0 })
  })

  it('applies only new migrations', async () => {
    const handle = memory(capabilities)
    await migrate(createOptions(handle, { '1': EFFECTS }))
    expect(await migrate(createOptions(handle, { '1': EFFECTS, '2': effect('2') }))).toEqual(['2'])
    expect(readEffects(handle.db)).toEqual(['2'])
  })

  it('takes a migration without a statement for done', async () => {
    const handle = memory(capabilities)
    expect(await migrate(createOptions(handle, { a: '-- nothing yet', b: '' }))).toEqual(['a', 'b'])
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(createOptions(handle, { a: '-- nothing yet', b: '' }))).toEqual([])
  })

  it('refuses a changed migration, also after line ends changed to and fro', async () => {
    const handle = memory(capabilities)
    const text = `${EFFECTS};\n${effect('a')};\n`
    await migrate(createOptions(handle, { a: text, b: { ...kysely('b'), checksum: 'v1' } }))
    const same = { a: text.replaceAll('\n', '\r\n'), b: { ...kysely('b'), checksum: 'v1' } }
    expect(await migrate(createOptions(handle, same))).toEqual([])
    for (const changed of [
      { ...same, a: `${text} ` },
      { ...same, b: { ...kysely('b'), checksum: 'v2' } },
    ]) {
      const error = { code: 'migration_changed', tenantId: 'acme', step: changed.a === same.a ? 'b' : 'a' }
      await expect(migrate(createOptions(handle, changed))).rejects.toMatchObject(error)
      await expect(pendingMigrations(createOptions(handle, changed))).rejects.toMatchObject(error)
    }
    expect(await migrate(createOptions(handle, { ...same, b: kysely('b') }))).toEqual([])
  })

  it('refuses when the code misses an applied migration', async () => {
    const handle = memory(capabilities)
    await migrate(createOptions(handle, { a: EFFECTS, b: effect('b') }))
    await expect(migrate(createOptions(handle, { a: EFFECTS, c: effect('c') }))).rejects.toMatchObject({
      code: 'migration_missing',
      step: 'b',
    })
    expect(readEffects(handle.db)).toEqual(['b'])
  })

  it('refuses a migration ordered before an applied one, unless that is allowed', async () => {
    const handle = memory(capabilities)
    await migrate(createOptions(handle, { a: EFFECTS, c: effect('c') }))
    const source = { a: EFFECTS, b: effect('b'), c: effect('c') }
    await expect(migrate(createOptions(handle, source))).rejects.toMatchObject({
      code: 'migration_missing',
      step: 'b',
    })
    expect(readEffects(handle.db)).toEqual(['c'])
    expect(await migrate(createOptions(handle, source, { allowUnordered: true }))).toEqual(['b'])
  })

  it.each(['BEGIN', 'COMMIT', '/* x */ end transaction', 'ROLLBACK', 'START TRANSACTION'])(
    'refuses %s in a migration before anything is applied',
    async (control) => {
      const handle = memory(capabilities)
      const source = { a: EFFECTS, b: `${effect('b')}; ${control}` }
      await expect(migrate(createOptions(handle, source))).rejects.toMatchObject({ code: 'config_invalid' })
      expect(readJournal(handle.db)).toEqual([])
    },
  )

  it('names migration and cause of a failure, and keeps what came before', async () => {
    const handle = memory(capabilities)
    const source = { a: EFFECTS, b: effect('b'), c: 'INSERT INTO nowhere VALUES (1)', d: effect('d') }
    const error = await migrate(createOptions(handle, source)).catch((cause) => cause)
    expect(error).toMatchObject({ code: 'migration_failed', step: 'c', tenantId: 'acme' })
    expect(error.detail).toMatch(/^Migration c failed in statement 1 of 1: .*nowhere/)
    expect(error.cause).toMatchObject({ code: 'provider_rejected' })
    expect(readEffects(handle.db)).toEqual(['b'])
    expect(readLock(handle.db)).toMatchObject({ expires_at: 0 })
  })

  it('keeps the code of an outage, which another try may get over', async () => {
    let down = false
    const handle = memory(capabilities, async (run, text) => {
      down ||= text.includes("'b'")
      if (down) throw new Unreachable('no route')
      return run()
    })
    await expect(migrate(createOptions(handle, { a: EFFECTS, b: effect('b') }))).rejects.toMatchObject({
      code: 'provider_unavailable',
      retryable: true,
    })
  })

  it('stops between migrations when aborted, before the first as well', async () => {
    const handle = memory(capabilities)
    const controller = new AbortController()
    const source = {
      a: {
        up: async (db: any) => {
          await sql.raw(EFFECTS).execute(db)
          controller.abort(new Error('enough'))
        },
      },
      b: kysely('b'),
    }
    const options = createOptions(handle, source, { signal: controller.signal })
    await expect(migrate(options)).rejects.toMatchObject({ code: 'timeout', cause: new Error('enough') })
    expect(readJournal(handle.db).map(({ name, state }) => [name, state])).toEqual([['a', 'done']])
    expect(readLock(handle.db)).toMatchObject({ expires_at: 0 })
    countCalls(handle)
    await expect(migrate(options)).rejects.toMatchObject({ code: 'timeout' })
    expect(countCalls(handle)).toEqual({ query: 0, batch: 0, transaction: 0 })
    expect(await migrate(createOptions(handle, source))).toEqual(['b'])
  })

  it.each([{ lockTtl: 0 }, { lockTtl: Number.NaN }, { lockTtl: 2 ** 31 }])(
    'refuses the options %j',
    async (bad) => {
      await expect(migrate(createOptions(memory(), SOURCE, bad))).rejects.toMatchObject({
        code: 'config_invalid',
      })
    },
  )

  it('creates its tables again where a crash left some of them', async () => {
    for (const left of ['', 'tenantry_migrations', 'tenantry_lock']) {
      const handle = memory(capabilities)
      await migrate(createOptions(handle, {}))
      if (left === '') handle.db.exec('DELETE FROM tenantry_lock')
      else handle.db.exec(`DROP TABLE ${left}`)
      expect(await migrate(createOptions(handle, { a: EFFECTS }))).toEqual(['a'])
    }
  })

  it('does not take an outage for a new database', async () => {
    const handle = memory(capabilities, async (run, text) => {
      if (text.startsWith('SELECT')) throw new Unreachable('no route')
      return run()
    })
    await expect(migrate(createOptions(handle, SOURCE))).rejects.toMatchObject({
      code: 'provider_unavailable',
    })
    expect(countCalls(handle)).toEqual({ query: 1, batch: 0, transaction: 0 })
  })

  it('reports why its tables cannot be created', async () => {
    const handle = memory(capabilities)
    handle.db.exec('PRAGMA query_only = ON')
    await expect(migrate(createOptions(handle, SOURCE))).rejects.toMatchObject({
      code: 'provider_rejected',
      message: expect.stringContaining('readonly'),
    })
  })
})

describe('migrate in batches', () => {
  const many = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [
      `m${String(n).padStart(2, '0')}`,
      n === 0 ? EFFECTS : effect(`${n}`),
    ]),
  )

  it('brings a new database up with four calls and one transaction for all migrations', async () => {
    const handle = memory()
    await migrate(createOptions(handle, many))
    // Read, make the tables, read, apply. No lock: the journal's primary key is the fence.
    expect(countCalls(handle)).toEqual({ query: 2, batch: 2, transaction: 0 })
    expect(readEffects(handle.db)).toHaveLength(29)
  })

  it('brings a database up to date with a read and a batch', async () => {
    const handle = memory()
    await migrate(createOptions(handle, many))
    countCalls(handle)
    await migrate(createOptions(handle, { ...many, m97: effect('97'), m98: effect('98'), m99: effect('99') }))
    expect(countCalls(handle)).toEqual({ query: 1, batch: 1, transaction: 0 })
  })

  it('goes one by one when a batch is refused, up to the culprit', async () => {
    const handle = memory()
    const source = { ...many, m15: `${effect('15')}; INSERT INTO nowhere VALUES (1); ${effect('never')}` }
    await expect(migrate(createOptions(handle, source))).rejects.toMatchObject({
      step: 'm15',
      detail: expect.stringMatching(/^Migration m15 failed in one of its 3 statements: /),
    })
    expect(readEffects(handle.db)).toEqual(Array.from({ length: 14 }, (_, n) => `${n + 1}`))
    expect(await migrate(createOptions(handle, many))).toHaveLength(15)
  })

  it('names the statement where the error of a batch says which it was', async () => {
    for (const source of [{ b: `${EFFECTS}; BROKEN` }, { a: kysely, b: `${effect('b')}; BROKEN` }]) {
      const handle = memory()
      handle.provider.batch = failingBatch(handle)
      const up = async (db: any): Promise<void> => void (await sql.raw(EFFECTS).execute(db))
      await expect(
        migrate(createOptions(handle, 'a' in source ? { ...source, a: { up } } : source)),
      ).rejects.toThrow('Migration b failed in statement 2 of 2')
    }
  })

  function failingBatch({ provider, db }: Handle): Handle['provider']['batch'] {
    const { batch } = provider
    return async (client, statements) => {
      const index = statements.findIndex(({ sql }) => sql === 'BROKEN')
      if (index < 0) return batch(client, statements)
      expect(db.isTransaction).toBe(false)
      throw Object.assign(new Error('near "BROKEN": syntax error'), {
        code: 'ERR_SQLITE_ERROR',
        statementIndex: index,
      })
    }
  }

  it('runs a Kysely migration in one transaction, undone as a whole', async () => {
    const handle = memory()
    const up = async (db: any): Promise<void> => {
      await sql.raw(EFFECTS).execute(db)
      await db.insertInto('effects').values({ what: 'x' }).execute()
      throw new TypeError('a slip')
    }
    await expect(migrate(createOptions(handle, { a: { up } }))).rejects.toMatchObject({
      code: 'migration_failed',
      detail: 'Migration a failed: a slip',
      cause: { cause: new TypeError('a slip') },
    })
    expect(readJournal(handle.db)).toEqual([])
    expect(handle.db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'effects'").all()).toEqual([])
    expect(readDirty(handle.db)).toBeNull()
  })

  it('runs statement by statement, without a transaction, what asks for that', async () => {
    const seen: boolean[] = []
    const handle: Handle = memory(ATOMIC, async (run, text) => {
      if (text === 'VACUUM') seen.push(handle.db.isTransaction)
      return run()
    })
    const up = async (): Promise<void> => void seen.push(handle.db.isTransaction)
    const source: MigrationSource = {
      a: { sql: `${EFFECTS}; VACUUM; ${effect('a')}`, transaction: false },
      b: { up, transaction: false },
    }
    expect(await migrate(createOptions(handle, source))).toEqual(['a', 'b'])
    expect(seen).toEqual([false, false])
    await expect(migrate(createOptions(memory(), { a: 'VACUUM' }))).rejects.toMatchObject({
      code: 'config_invalid',
    })
  })

  it('does not let the plugins of a Kysely touch the journal', async () => {
    const { db, provider } = memory()
    const plugin: KyselyPlugin = {
      transformQuery({ node }) {
        expect(JSON.stringify(node)).not.toContain('tenantry')
        return node
      },
      transformResult: async ({ result }) => result,
    }
    const plugged = { ...provider, kysely: (client: typeof db) => provider.kysely(client).withPlugin(plugin) }
    const source = { a: EFFECTS, b: kysely('b') }
    expect(await migrate(createOptions({ provider: plugged, db }, source))).toEqual(['a', 'b'])
  })

  it('sends a batch that met an outage once', async () => {
    let down = true
    const handle = memory(ATOMIC, async (run, text) => {
      if (!down || text !== EFFECTS) return run()
      down = false
      throw new Unreachable('no route')
    })
    await migrate(createOptions(handle, {}))
    countCalls(handle)
    const options = createOptions(handle, { a: EFFECTS, b: effect('b') })
    await expect(migrate(options)).rejects.toMatchObject({ code: 'provider_unavailable', retryable: true })
    expect(countCalls(handle).batch).toBe(1)
    expect(await migrate(options)).toEqual(['a', 'b'])
  })

  it('fails closed in a database without an identity table', async () => {
    const handle = openHandle(':memory:', JOURNALED)
    await expect(migrate(createOptions(handle, { a: EFFECTS }))).rejects.toThrow('tenantry_identity')
    expect(handle.db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'effects'").all()).toEqual([])
  })
})

describe('a new database without transactional DDL', () => {
  const SCRIPTS = { '1': EFFECTS, '2': effect('2'), '3': `${effect('3a')}; ${effect('3b')}` }

  it('gets all scripts in one batch; one that has migrations gets one after the other', async () => {
    const handle = memory(JOURNALED)
    expect(await migrate(createOptions(handle, SCRIPTS))).toEqual(['1', '2', '3'])
    // The journal's tables, and the migrations.
    expect(countCalls(handle).batch).toBe(2)
    const more = { ...SCRIPTS, '4': effect('4'), '5': effect('5') }
    expect(await migrate(createOptions(handle, more))).toEqual(['4', '5'])
    expect(countCalls(handle).batch).toBe(2)
    expect(readEffects(handle.db)).toEqual(['2', '3a', '3b', '4', '5'])
  })

  it('of several in one batch the culprit is named, those before it are done, and none after it is begun', async () => {
    const handle = memory(JOURNALED)
    const broken = { ...SCRIPTS, '2': `${effect('2')}; INSERT INTO missing VALUES (1)` }
    await expect(migrate(createOptions(handle, broken))).rejects.toMatchObject({
      code: 'migration_failed',
      step: '2',
      message: expect.stringMatching(/statement 2 of 2.*missing/),
    })
    expect(readJournal(handle.db).map(({ name, state, statement }) => [name, state, statement])).toEqual([
      ['1', 'done', 1],
      ['2', 'failed', 1],
    ])
    expect(readDirty(handle.db)).toBe('2')
    expect(readEffects(handle.db)).toEqual(['2'])
  })

  it.each(['PRAGMA user_version = 1', 'CREATE TEMP TABLE t (id INT)'])(
    'what leaves something in its session shares it with no other: %s',
    async (text) => {
      const handle = memory(JOURNALED)
      await migrate(createOptions(handle, { ...SCRIPTS, '2': text, '4': effect('4') }))
      // The tables; 1; 2; 3 and 4.
      expect(countCalls(handle).batch).toBe(4)
    },
  )
})
