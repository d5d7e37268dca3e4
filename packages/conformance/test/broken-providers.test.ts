import { AssertionError, equal, ok } from 'node:assert/strict'
import { afterAll, describe, it } from 'vitest'
import { type ConformanceCase, type CreateHarness, conformanceCases, runCase } from '../src/index.ts'
import { ACCESS_MISTAKES } from './broken/access.ts'
import type { Mistake } from './broken/broken-provider.ts'
import { CLIENT_MISTAKES } from './broken/clients.ts'
import { DATABASE_MISTAKES } from './broken/databases.ts'
import { FLEET_MISTAKES } from './broken/fleet.ts'
import { createMemoryHarness } from './memory-harness.ts'
import { createPooledHarness, POOL_MISTAKES } from './pooled-harness.ts'

/** A case must fail for the mistake that it is written for, and pass for the intact provider. */
describe('a broken provider fails the case for its mistake', () => {
  const table: { mistake: string; 'fails the case': string; because: string }[] = []

  async function prove(
    mistake: string,
    fails: string,
    intact: CreateHarness,
    broken: CreateHarness,
  ): Promise<void> {
    const each = findCase(fails)
    const { skipped } = await runCase(each, intact)
    equal(skipped, undefined, 'the case was skipped for the intact provider')
    const error = await runCase(each, broken).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    ok(error instanceof AssertionError, `${mistake}: ${error === undefined ? 'passes' : String(error)}`)
    table.push({
      mistake,
      'fails the case': fails,
      because: error.message.split('\n')[0]?.slice(0, 70) ?? '',
    })
  }

  for (const each of [...DATABASE_MISTAKES, ...CLIENT_MISTAKES, ...ACCESS_MISTAKES, ...FLEET_MISTAKES]) {
    it(each.mistake, () =>
      prove(each.mistake, each.fails, createBrokenHarness(each, false), createBrokenHarness(each, true)),
    )
  }

  it.each(POOL_MISTAKES)('%s', (mistake, fails) =>
    prove(
      mistake,
      fails,
      () => createPooledHarness(createMemoryHarness()),
      () => createPooledHarness(createMemoryHarness(), mistake),
    ),
  )

  afterAll(() => console.table(table))
})

function findCase(name: string): ConformanceCase {
  const matches = conformanceCases.filter((each) => each.name === name)
  const [each] = matches
  ok(each !== undefined && matches.length === 1, `There are ${matches.length} cases named ${name}`)
  return each
}

function createBrokenHarness(
  { declares, offers, capabilities, break: spoil }: Mistake,
  broken: boolean,
): CreateHarness {
  return () => {
    const harness = createMemoryHarness()
    const make = (intact: typeof harness.provider): typeof harness.provider => {
      const declared = {
        ...intact,
        ...offers?.(intact, harness.server),
        capabilities: { ...intact.capabilities, ...capabilities },
      }
      return broken ? spoil(declared, harness.server) : declared
    }
    return {
      ...harness,
      ...declares,
      provider: make(harness.provider),
      createProvider: () => make(harness.createProvider()),
    }
  }
}
