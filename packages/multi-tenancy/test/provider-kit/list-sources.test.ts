import { expect, it } from 'vitest'
import { listSources } from '../../src/provider.ts'

const PAGES: Record<string, Record<string, { names: string[]; next?: string }>> = {
  eu: { '': { names: ['a', 'b'], next: 'b/1' }, 'b/1': { names: ['c'] } },
  us: { '': { names: [] } },
  asia: { '': { names: ['d'] } },
}
const list = async (source: string, position: string) => {
  const { names, next } = PAGES[source]?.[position] ?? expect.unreachable(`${source} ${position}`)
  return { databases: names.map((name) => ({ name, locator: { name } })), next }
}

it('goes through every page of every source, in order', async () => {
  const pages: string[][] = []
  let cursor: string | undefined
  do {
    const page = await listSources(Object.keys(PAGES), cursor, list)
    pages.push(page.databases.map(({ name }) => name))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(pages).toEqual([['a', 'b'], ['c'], [], ['d']])
})

it.each(['elsewhere/', '', '/b', 'EU/', '1'])('rejects the cursor %j of another listing', async (cursor) => {
  await expect(listSources(['eu'], cursor, list)).rejects.toMatchObject({ code: 'invalid_request' })
})
