import { describe, expect, test } from 'vitest'
import { createTestApi, type TestApi } from './test-api.ts'

/** Every id, page by page; `between` happens after each page. */
async function walk(api: TestApi, query: string, between = async (_page: number) => {}): Promise<string[][]> {
  const pages: string[][] = []
  let cursor: string | null = null
  do {
    const suffix: string = cursor === null ? '' : `&cursor=${cursor}`
    const { status, body } = await api.call('GET', `/?${query}${suffix}`)
    expect(status).toBe(200)
    pages.push(body.tenants.map(({ id }: any) => id))
    cursor = body.cursor
    await between(pages.length)
  } while (cursor !== null)
  return pages
}

async function populate(api: TestApi, ids: readonly string[]): Promise<void> {
  for (const id of ids) expect((await api.call('POST', '/', { id })).status).toBe(201)
}

const ids = Array.from({ length: 11 }, (_, index) => `t${String(index).padStart(3, '0')}`)

describe('pages of tenants', () => {
  test('are ordered, complete and within the limit, and the last has no cursor', async () => {
    const api = await createTestApi()
    await populate(api, [...ids].reverse())
    for (const limit of [1, 3, 10, 11, 12, 100]) {
      const pages = await walk(api, `limit=${limit}`)
      expect(pages.flat()).toEqual(ids)
      expect(pages.map((page) => page.length).slice(0, -1)).toEqual(pages.slice(1).map(() => limit))
      expect(pages.at(-1)).not.toEqual([])
    }
    expect(await walk(api, 'idPrefix=none')).toEqual([[]])
  })

  test('have 50 tenants by default and 100 at most', async () => {
    const api = await createTestApi()
    await populate(api, ['acme'])
    const row = await api.db.selectFrom('tenantry_tenants').selectAll().executeTakeFirstOrThrow()
    for (let n = 100; n < 220; n++) {
      const copy = {
        ...row,
        tenant_id: `u${n}`,
        name: `u${n}`,
        uid: `u${n}`,
        placement: n % 2 ? 'odd' : 'even',
      }
      await api.db.insertInto('tenantry_tenants').values(copy).execute()
    }
    expect((await walk(api, '')).map((page) => page.length)).toEqual([50, 50, 21])
    expect((await walk(api, 'limit=100')).map((page) => page.length)).toEqual([100, 21])
    const { body } = await api.call('GET', '/?total=true&limit=7')
    expect([body.total, body.tenants.length]).toEqual([121, 7])
    const odd = await api.call('GET', '/?total=true&limit=7&placement=odd&state=active&idPrefix=u')
    expect(odd.body.total).toBe(60)
    expect((await walk(api, 'limit=7&placement=odd')).flat()).toHaveLength(60)
    expect((await api.call('GET', '/')).body).not.toHaveProperty('total')
  })

  test('omit and repeat no tenant while others are created and deleted', async () => {
    const api = await createTestApi()
    await populate(api, ids)
    const pages = await walk(api, 'limit=3&total=true', async (page) => {
      if (page > 3) return
      // Before the cursor, after it, and the very tenant the cursor names.
      await populate(api, [`a${page}`, `z${page}`])
      await api.call('DELETE', `/${ids[page * 3 - 1]}?retention=PT0S`)
    })
    expect(pages.flat()).toEqual([...ids, 'z1', 'z2', 'z3'])
  })
})

describe('a cursor', () => {
  test('that was changed or belongs to another list is rejected', async () => {
    const api = await createTestApi()
    await populate(api, ['a1', 'a2'])
    await api.call('POST', '/a1/suspend')
    const tenants = (await api.call('GET', '/?limit=1')).body.cursor
    const operations = (await api.call('GET', '/a1/operations?limit=1')).body.cursor
    const forged = (text: string) => encodeURIComponent(btoa(text).replace(/=+$/, ''))
    const bad = [
      ...['', '%00', 'x', `${tenants}!`, `${tenants}=`, tenants.toLowerCase() + tenants, 'ä', '{}'].map(
        encodeURI,
      ),
      ...["a1' OR 1=1 --", '%', 'A1', '{"id":"a1"}', '\0', `1 ${'x'.repeat(36)}`, '-1 a', ''].map(forged),
    ]
    for (const cursor of [...bad, operations]) {
      const { body } = await api.call('GET', `/?cursor=${cursor}`)
      expect(body, cursor).toMatchObject({ status: 400, code: 'invalid_request' })
    }
    for (const cursor of [...bad, tenants]) {
      const { body } = await api.call('GET', `/a1/operations?cursor=${cursor}`)
      expect(body, cursor).toMatchObject({ status: 400, code: 'invalid_request' })
    }
  })

  test("of one tenant's operations shows no operation of another tenant", async () => {
    const api = await createTestApi()
    await populate(api, ['a1', 'a2'])
    for (const action of ['suspend', 'resume']) {
      await api.call('POST', `/a1/${action}`)
      await api.call('POST', `/a2/${action}`)
    }
    const { cursor } = (await api.call('GET', '/a1/operations?limit=1')).body
    const { body } = await api.call('GET', `/a2/operations?cursor=${cursor}`)
    for (const { tenantId } of body.operations) expect(tenantId).toBe('a2')
  })
})
