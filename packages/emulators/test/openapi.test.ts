import { expect, test } from 'vitest'
import { operations } from '../src/turso/operations.ts'
import { createContract, divergences, documentFile, openApi } from './contract.ts'
import { emulatorForTests } from './support.ts'

if (openApi === undefined) {
  const message = `The contract tests were skipped: there is no ${documentFile}`
  // On a build server the document has to be there: a check that cannot run must not pass.
  if (process.env.CI === 'true') throw new Error(message)
  console.warn(message)
  test("every answer matches the vendor's document", ({ skip }) => skip(message))
} else {
  const contract = createContract(openApi)
  const { call, faults } = await emulatorForTests({ onExchange: contract.check })

  test("every operation's answers match the vendor's document, by success and by refusal; every listed divergence occurs", async () => {
    const create = { name: 'checked', group: 'extra' }
    const requests: [string, string, unknown?][] = [
      ['GET', '/v1/locations'],
      ['GET', '/v1/auth/validate'],
      ['POST', '/groups', { name: 'extra', location: 'aws-eu-west-1' }],
      ['POST', '/groups', { name: 'extra', location: 'aws-eu-west-1' }],
      ['POST', '/groups', { name: 'nowhere', location: 'moon' }],
      ['GET', '/groups'],
      ['POST', '/databases', create],
      ['POST', '/databases', create],
      ['POST', '/databases', { ...create, group: 'absent' }],
      ['POST', '/databases', { ...create, name: 'child', seed: { type: 'database', name: 'checked' } }],
      ['POST', '/databases', { ...create, name: 'other', seed: { type: 'database_upload' } }],
      ['GET', '/databases?limit=1'],
      ['GET', '/databases?limit=none'],
      ['GET', '/v1/organizations/other/groups'],
      ['GET', '/not-emulated'],
    ]
    for (const name of ['checked', 'child', 'absent']) {
      requests.push(
        ['GET', `/databases/${name}`],
        ['GET', `/databases/${name}/configuration`],
        ['PATCH', `/databases/${name}/configuration`, { block_reads: true }],
        ['PATCH', `/databases/${name}/configuration`, { block_reads: 'yes' }],
        ['GET', `/databases/${name}/usage`],
        ['GET', `/databases/${name}/stats`],
        ['GET', `/databases/${name}/instances`],
        ['GET', `/databases/${name}/instances/aws-eu-west-1`],
        ['GET', `/databases/${name}/instances/moon`],
        ['POST', `/databases/${name}/auth/tokens`],
        ['POST', `/databases/${name}/auth/tokens?expiration=soon`],
        ['POST', `/databases/${name}/auth/rotate`],
        ['DELETE', `/databases/${name}`],
      )
    }
    for (const name of ['extra', 'absent']) {
      requests.push(
        ['GET', `/groups/${name}`],
        ['GET', `/groups/${name}/configuration`],
        ['PATCH', `/groups/${name}/configuration`, { delete_protection: false }],
        ['POST', `/groups/${name}/auth/tokens`],
        ['POST', `/groups/${name}/auth/tokens?expiration=soon`],
        ['POST', `/groups/${name}/auth/rotate`],
        ['DELETE', `/groups/${name}`],
      )
    }
    for (const request of requests) await call(...request)
    await call('GET', '/databases', undefined, 'wrong')
    for (const status of [409, 422] as const) {
      faults.answerDuplicates(status)
      for (let twice = 0; twice < 2; twice += 1) {
        await call('POST', '/databases', { name: `taken-${status}`, group: 'default' })
      }
    }
    faults.fail({ operation: 'databases.list' })
    faults.fail({ operation: 'databases.list', status: 502 })
    faults.rateLimit()
    for (let times = 0; times < 3; times += 1) await call('GET', '/databases')

    expect(contract.violations).toEqual([])
    const succeeded = Object.keys(operations).filter((operation) => contract.seen.has(`${operation} 200`))
    expect(succeeded).toEqual(Object.keys(operations))
    expect(divergences.filter((divergence) => !contract.used.has(divergence))).toEqual([])
  })

  test('an answer that lacks a documented property or has another one is detected', async () => {
    const strict = createContract(openApi)
    const check = (operation: 'databases.create' | 'tokens.rotate', status: number, body: unknown): void =>
      strict.check({
        record: {
          ...{ method: 'POST', plane: 'platform', host: '', path: '/here', operation, database: 'x' },
          ...{ status, faults: [] },
        },
        ...{ status, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) },
      })
    const database = { DbId: '1', Hostname: 'h', Name: 'n' }
    check('databases.create', 200, { database })
    expect(strict.violations).toEqual([])
    check('databases.create', 200, { database: { ...database, name: 'n' } })
    check('databases.create', 200, { database: { DbId: '1' } })
    check('databases.create', 418, { error: 'teapot' })
    check('databases.create', 401, { message: 'no' })
    check('tokens.rotate', 200, {})
    expect(strict.violations).toHaveLength(5)
  })
}
