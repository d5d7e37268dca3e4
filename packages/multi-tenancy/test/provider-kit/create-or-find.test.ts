import { expect, it } from 'vitest'
import { createOrFind, HttpError } from '../../src/provider.ts'

const duplicate = new HttpError('The Cabinet API', 409, 'taken')
const lost = new HttpError('The Cabinet API', 0, 'no response')
const refused = new HttpError('The Cabinet API', 400, 'bad name')

function run(create: () => Promise<string>, existing: string | undefined) {
  return createOrFind({
    create,
    find: async () => existing,
    isDuplicate: (error) => error === duplicate,
  })
}
const failWith = (error: unknown) => () => Promise.reject(error)

it('returns the database that was created', async () => {
  expect(await run(async () => 'new', 'old')).toEqual({ database: 'new', created: true })
})

it.each([
  ['the name is taken', duplicate],
  ['the response was lost', lost],
])('returns the existing database when %s', async (_, error) => {
  expect(await run(failWith(error), 'old')).toEqual({ database: 'old', created: false })
})

it('rejects with the error of a lost response when no database exists', async () => {
  await expect(run(failWith(lost), undefined)).rejects.toBe(lost)
})

it('rejects with provider_unavailable for a name that is taken and not found', async () => {
  await expect(run(failWith(duplicate), undefined)).rejects.toMatchObject({
    code: 'provider_unavailable',
    retryAfter: 2,
  })
})

it('does not search after a request that the service refused', async () => {
  await expect(run(failWith(refused), 'old')).rejects.toBe(refused)
})
