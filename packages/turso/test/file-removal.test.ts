import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openDatabaseFiles } from '../src/file/database-files.ts'

/** Run once each, around the next `rename`: what other processes do there. */
const others: {
  before?: (() => Promise<unknown>) | undefined
  after?: (() => Promise<unknown>) | undefined
} = {}

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs/promises')>()
  const take = async (when: 'before' | 'after'): Promise<void> => {
    const work = others[when]
    others[when] = undefined
    await work?.()
  }
  return {
    ...original,
    async rename(...paths: Parameters<typeof original.rename>) {
      await take('before')
      try {
        await original.rename(...paths)
      } finally {
        await take('after')
      }
    },
  }
})

let root: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'tenantry-removal-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('removing a database', () => {
  it('removes no other database when it is concurrently deleted and created again', async () => {
    const [own, other] = [openDatabaseFiles(root), openDatabaseFiles(root)]
    const { file } = await own.create('tenant_a')
    let next = file
    others.before = async () => {
      await other.remove(file)
      next = (await other.create('tenant_a')).file
      others.after = () => other.create('tenant_a')
    }
    await own.remove(file)
    expect(next.id).not.toBe(file.id)
    expect(await own.find('tenant_a')).toEqual(next)
    expect(readdirSync(root)).toEqual(['tenant_a'])
  })

  it('that a crash interrupted is finished by the next creation', async () => {
    const files = openDatabaseFiles(root)
    const folder = path.join(root, 'tenant_a')
    mkdirSync(folder)
    for (const rest of ['-wal', '-shm', '-closed']) {
      writeFileSync(path.join(folder, `0123456789abcdef.db${rest}`), 'left')
    }
    expect(await files.find('tenant_a')).toBeUndefined()
    const { file, created } = await files.create('tenant_a')
    expect(created).toBe(true)
    expect(readdirSync(folder)).toEqual([`${file.id}.db`])
    await files.remove({ ...file, id: '0123456789abcdef' })
    expect(readdirSync(folder)).toEqual([`${file.id}.db`])
  })

  it('that a crash interrupted is finished by the next process that starts', async () => {
    for (const [name, id] of [
      ['tenant_gone', '0123456789abcdef'],
      ['tenant_kept', 'fedcba9876543210'],
    ]) {
      writeFileSync(path.join(root, `.deleted-${id}-${name}`), '')
      mkdirSync(path.join(root, String(name)))
      writeFileSync(path.join(root, String(name), `${id}.db-wal`), 'what the tenant wrote last')
    }
    writeFileSync(path.join(root, 'tenant_kept', '00112233445566ff.db'), '')
    writeFileSync(path.join(root, 'tenant_kept', '00112233445566ff.db-wal'), '')
    expect(await openDatabaseFiles(root).find('tenant_gone')).toBeUndefined()
    await expect.poll(() => readdirSync(root)).toEqual(['tenant_kept'])
    expect(readdirSync(path.join(root, 'tenant_kept'))).toEqual([
      '00112233445566ff.db',
      '00112233445566ff.db-wal',
    ])
  })

  it('removes the files beside it, and leaves foreign files', async () => {
    const files = openDatabaseFiles(root)
    const { file } = await files.create('tenant_a')
    const beside = path.join(root, 'tenant_a', `${file.id}.db`)
    for (const rest of ['-wal', '-shm', '-closed']) writeFileSync(beside + rest, '')
    writeFileSync(path.join(root, 'tenant_a', 'notes.txt'), 'of the administrator')
    await files.remove(file)
    expect(readdirSync(path.join(root, 'tenant_a'))).toEqual(['notes.txt'])
    rmSync(path.join(root, 'tenant_a'), { recursive: true })
    await files.remove(file)
    expect(readdirSync(root)).toEqual([])
  })

  it('does not follow a link in place of its folder', async () => {
    const files = openDatabaseFiles(root)
    const { file } = await files.create('tenant_real')
    symlinkSync(path.join(root, 'tenant_real'), path.join(root, 'tenant_link'))
    await expect(files.remove({ ...file, name: 'tenant_link' })).rejects.toMatchObject({
      code: 'provider_rejected',
    })
    expect(existsSync(path.join(root, 'tenant_real', `${file.id}.db`))).toBe(true)
  })
})
