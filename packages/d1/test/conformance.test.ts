import { testProvider } from '@tenantry/conformance'
import { afterAll, beforeAll } from 'vitest'
import { type Account, startAccount } from './account/account.ts'
import { createHarness, waysOf } from './harness.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount(2_500)
})
afterAll(() => account?.stop())

testProvider('rest', () => createHarness(account, waysOf(account).rest))
testProvider('dispatch', () => createHarness(account, waysOf(account).dispatch))
testProvider('binding', () => createHarness(account, waysOf(account).binding))
