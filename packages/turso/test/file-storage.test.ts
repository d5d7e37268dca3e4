import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { captureError } from '@tenantry/test-support'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openConnection } from '../src/file/connection.ts'
import { openDatabaseFiles } from '../src/file/database-files.ts'
import { createLibsqlFactory, createLibsqlFileProvider } from '../src/file/index.ts'
import { call, verify } from './support.ts'

let home: string
let root: string
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'tenantry files %41?#-'))
  root = path.join(home, 'tenants')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const HOSTILE = [
  '../evil',
  '../../tmp/evil',
  '..%2fevil',
  '%2e%2e%2fevil',
  'a/../acme',
  'a/b',
  'a\\b',
  '/tmp/evil',
  'C:evil',
  '%00',
  'a%00b',
  'a\0b',
  '\0',
  '.',
  '..',
  '...',
  '.hidden',
  '',
  ' ',
  'a b',
  'a\nb',
  'file:evil',
  ':memory:',
  'evil?mode=memory',
  'evil#x',
  'evil.db',
  'A',
  'ä',
  '\ud800',
  '-a',
  'a'.repeat(64),
  'a'.repeat(5_000),
]

describe('hostile ids', () => {
  it('are coded errors, leave no file, and do not end the process', () => {
    const script = `
      const { createLibsqlFactory, createLibsqlFileProvider } = await import(process.env.ENTRY)
      const { TenancyError } = await import(process.env.CORE)
      const { ROOT, IDS } = process.env
      const factory = createLibsqlFactory({ root: ROOT })
      const provider = createLibsqlFileProvider({ root: ROOT })
      const call = { signal: new AbortController().signal }
      const codes = []
      const expectCode = async (work) => {
        try {
          await work()
          codes.push('none')
        } catch (error) {
          codes.push(error instanceof TenancyError ? error.code : String(error))
        }
      }
      for (const id of JSON.parse(IDS)) {
        await expectCode(() => factory.provision(id))
        await expectCode(() => factory.getAdapters(id))
        await expectCode(() => factory.deprovision(id))
        for (const name of [id, 'tenant_' + id]) {
          if (/^[a-z0-9][a-z0-9_-]{0,127}$/.test(name)) continue
          await expectCode(() => provider.create(name, call))
          await expectCode(() => provider.find(name, call))
          const real = { name: 'tenant_real', id: '0123456789abcdef' }
          for (const locator of [{ ...real, name }, { ...real, id: name }, { ...real, id: '../' + name }]) {
            await expectCode(() => provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call))
            await expectCode(() => provider.drop(locator, call))
          }
        }
      }
      await factory.provision('fine')
      const { db } = await factory.getAdapters('fine')
      await db.schema.createTable('notes').addColumn('id', 'integer').execute()
      process.stdout.write(JSON.stringify(codes))
      process.exit(0)`
    const output = execFileSync(
      process.execPath,
      ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', script],
      {
        cwd: path.dirname(import.meta.dirname),
        env: {
          ...process.env,
          ENTRY: path.join(import.meta.dirname, '../src/file/index.ts'),
          CORE: import.meta.resolve('@tenantry/multi-tenancy'),
          ROOT: root,
          IDS: JSON.stringify(HOSTILE),
        },
        encoding: 'utf8',
      },
    )
    const codes = new Set<string>(JSON.parse(output))
    expect([...codes].sort()).toEqual(['internal', 'invalid_tenant_id'])
    expect(readdirSync(home)).toEqual(['tenants'])
    expect(readdirSync(root)).toEqual(['tenant_fine'])
  })
})

describe('the root directory', () => {
  it('is created for this user only, as is every database', async () => {
    const provider = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_a', call)
    const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
    await client.execute('CREATE TABLE notes (id INTEGER)')
    const folder = path.join(root, 'tenant_a')
    const modes = [root, folder, ...readdirSync(folder).map((entry) => path.join(folder, entry))]
    expect(modes).toHaveLength(5)
    for (const each of modes) expect((statSync(each).mode & 0o077).toString(8), each).toBe('0')
    await provider.close()
  })

  it('can have any path, such as one that looks like a URL', async () => {
    const odd = path.join(home, 'a b%20c?mode=memory#d&e', 'x:y')
    const factory = createLibsqlFactory({ root: odd })
    await factory.provision('acme')
    await factory.close()
    expect(readdirSync(path.join(odd, 'tenant_acme')).some((entry) => /^[0-9a-f]{16}\.db$/.test(entry))).toBe(
      true,
    )
  })

  it('is rejected when the option is not a path', () => {
    for (const wrong of ['', 'a\0b', undefined, 7]) {
      expect(() => createLibsqlFileProvider({ root: wrong as string })).toThrow(/ root:/)
    }
    for (const option of ['busyTimeout', 'transactionIdleTimeout', 'drainTimeout'] as const) {
      for (const wrong of [-1, Number.NaN, '1']) {
        expect(() => createLibsqlFileProvider({ root, [option]: wrong })).toThrow(
          new RegExp(`^\\[config_invalid\\] ${option}:`),
        )
      }
    }
  })

  it('that cannot be written is a coded error', async () => {
    writeFileSync(root, 'a file')
    const error = await captureError(createLibsqlFactory({ root, stepTimeout: 100 }).provision('acme'))
    expect(error).toMatchObject({ code: 'provider_rejected', step: 'create' })
  })

  it('loses the remains of crashed processes, and no other files', async () => {
    mkdirSync(root)
    for (const entry of ['.deleted-1', '.new-old', '.new-young', 'tenant_x', 'README']) {
      mkdirSync(path.join(root, entry))
      writeFileSync(path.join(root, entry, 'a.db'), '')
    }
    const old = new Date(Date.now() - 2 * 3_600_000)
    utimesSync(path.join(root, '.new-old'), old, old)
    const provider = createLibsqlFileProvider({ root })
    await provider.list({ prefix: '' }, call)
    await expect.poll(() => readdirSync(root).sort()).toEqual(['.new-young', 'README', 'tenant_x'])
  })
})

describe('links', () => {
  it("in place of a tenant's folder or file are rejected, and their targets stay", async () => {
    const provider = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_real', call)
    const real = path.join(root, 'tenant_real')
    const file = path.join(real, `${locator.id}.db`)
    symlinkSync(real, path.join(root, 'tenant_link'))
    mkdirSync(path.join(root, 'tenant_inner'))
    symlinkSync(file, path.join(root, 'tenant_inner', `${locator.id}.db`))
    for (const name of ['tenant_link', 'tenant_inner']) {
      const linked = { name, id: locator.id as string }
      const works = [
        () => provider.connect({ locator: linked, purpose: 'manage', verify }, call),
        ...(name === 'tenant_link'
          ? [() => provider.find(name, call), () => provider.create(name, call)]
          : []),
      ]
      for (const work of works)
        expect(await captureError(work())).toMatchObject({ code: 'provider_rejected' })
    }
    expect(existsSync(file)).toBe(true)
  })

  it('to the root itself are allowed', async () => {
    mkdirSync(path.join(home, 'elsewhere'))
    symlinkSync(path.join(home, 'elsewhere'), root)
    const factory = createLibsqlFactory({ root })
    await factory.provision('acme')
    await factory.getAdapters('acme')
    expect(readdirSync(path.join(home, 'elsewhere'))).toEqual(['tenant_acme'])
    await factory.close()
  })
})

describe('a database', () => {
  it('is created by exactly one of many callers', async () => {
    const providers = Array.from({ length: 5 }, () => createLibsqlFileProvider({ root }))
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, at) => providers[at % 5]?.create('tenant_a', call)),
    )
    expect(results.filter((each) => each?.created)).toHaveLength(1)
    expect(new Set(results.map((each) => each?.locator.id)).size).toBe(1)
    expect(readdirSync(root)).toEqual(['tenant_a'])
  })

  it('is created or found while it is deleted again and again', async () => {
    const files = Array.from({ length: 4 }, () => openDatabaseFiles(root))
    let created = 0
    await Promise.all(
      files.map(async (own) => {
        for (let round = 0; round < 150; round++) {
          const results = await own.create('tenant_a')
          if (results.created) created++
          await own.remove(results.file)
        }
      }),
    )
    expect(created).toBeGreaterThan(100)
    expect(readdirSync(root)).toEqual([])
  })

  it('is not created where a foreign file has its name', async () => {
    mkdirSync(path.join(root, 'tenant_a', 'foreign'), { recursive: true })
    const creating = createLibsqlFileProvider({ root }).create('tenant_a', call)
    expect(await captureError(creating)).toMatchObject({ code: 'provider_rejected' })
    expect(readdirSync(root)).toEqual(['tenant_a'])
  })

  it('is never created by connecting', async () => {
    const provider = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_a', call)
    let losses = 0
    const client = await provider.connect(
      { locator, purpose: 'manage', verify, onDatabaseGone: () => void losses++ },
      call,
    )
    await client.execute('SELECT 1')
    expect(losses).toBe(0)
    rmSync(path.join(root, 'tenant_a'), { recursive: true })
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_not_found' })
    expect(losses).toBe(1)
    const missing = { name: 'tenant_a', id: '0123456789abcdef' }
    const connecting = provider.connect({ locator: missing, purpose: 'manage', verify }, call)
    expect(await captureError(connecting)).toMatchObject({ code: 'tenant_not_found' })
    expect(readdirSync(root)).toEqual([])
  })

  it('is not created when it disappears between the check and the opening', async () => {
    mkdirSync(root)
    const missing = path.join(root, 'missing.db')
    const files = { ...openDatabaseFiles(root), fingerprint: () => '1:1', path: () => missing }
    const target = { file: { name: 'tenant_a', id: '0123456789abcdef' }, verify }
    await expect(openConnection(files, target, 'number')).rejects.toThrow('Unable to open')
    expect(existsSync(missing)).toBe(false)
  })

  it('that was created again is not opened, read or deleted through an old locator', async () => {
    const [one, two] = [createLibsqlFileProvider({ root }), createLibsqlFileProvider({ root })]
    const { locator } = await one.create('tenant_a', call)
    const old = await one.connect({ locator, purpose: 'manage', verify }, call)
    await old.execute('CREATE TABLE old (id INTEGER)')
    await two.drop(locator, call)
    const { locator: next } = await two.create('tenant_a', call)
    const fresh = await two.connect({ locator: next, purpose: 'manage', verify }, call)
    await fresh.execute('CREATE TABLE fresh (id INTEGER)')

    expect(await captureError(old.execute('SELECT * FROM fresh'))).toMatchObject({ code: 'stale_tenant' })
    expect(await captureError(old.execute('SELECT * FROM old'))).toMatchObject({ code: 'stale_tenant' })
    const connecting = one.connect({ locator, purpose: 'manage', verify }, call)
    expect(await captureError(connecting)).toMatchObject({ code: 'stale_tenant' })
    await one.drop(locator, call)
    expect((await fresh.execute('SELECT * FROM fresh')).rows).toEqual([])
    await Promise.all([one.close(), two.close()])
  })

  it('that is restored over its path is read by the next statement', async () => {
    const provider = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_a', call)
    const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
    await client.execute('CREATE TABLE before (id INTEGER)')
    const folder = path.join(root, 'tenant_a')
    rmSync(folder, { recursive: true })
    mkdirSync(folder)
    writeFileSync(path.join(folder, `${locator.id}.db`), '')
    expect((await client.execute('SELECT name FROM sqlite_master')).rows).toEqual([])
    await provider.close()
  })

  it('that is not SQLite, or not readable, is a coded error', async () => {
    const provider = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_a', call)
    const file = path.join(root, 'tenant_a', `${locator.id}.db`)
    writeFileSync(
      file,
      'not a database, only a text that is long enough to be taken for its header'.repeat(20),
    )
    const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
    await expect(client.execute('SELECT 1')).rejects.toMatchObject({ code: 'SQLITE_NOTADB' })
    expect(provider.mapError(await client.execute('SELECT 1').catch((error) => error))).toMatchObject({
      code: 'provider_rejected',
    })
    writeFileSync(file, '')
    chmodSync(file, 0)
    if (process.getuid?.() !== 0) {
      expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'provider_unavailable' })
    }
  })

  it('is deleted with every file that SQLite keeps beside it', async () => {
    const provider = createLibsqlFileProvider({ root, drainTimeout: 50 })
    const { locator } = await provider.create('tenant_a', call)
    const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
    await client.execute('CREATE TABLE notes (id INTEGER)')
    const transaction = await client.transaction('write')
    await transaction.execute('INSERT INTO notes VALUES (1)')
    expect(readdirSync(path.join(root, 'tenant_a'))).toHaveLength(3)
    await provider.drop(locator, call)
    expect(readdirSync(root)).toEqual([])
    expect(await captureError(transaction.execute('INSERT INTO notes VALUES (2)'))).toMatchObject({
      code: 'closed',
    })
    await expect(transaction.commit()).rejects.toThrow()
    await provider.drop(locator, call)
    expect(readdirSync(root)).toEqual([])
    await provider.close()
  })
})
