import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { conformanceCases } from '../src/index.ts'
import { ACCESS_MISTAKES } from './broken/access.ts'
import { CLIENT_MISTAKES } from './broken/clients.ts'
import { DATABASE_MISTAKES } from './broken/databases.ts'
import { FLEET_MISTAKES } from './broken/fleet.ts'
import { POOL_MISTAKES } from './pooled-harness.ts'

it('states the number of cases and of broken providers in the README', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const mistakes = [ACCESS_MISTAKES, CLIENT_MISTAKES, DATABASE_MISTAKES, FLEET_MISTAKES, POOL_MISTAKES].flat()
  expect(readme).toContain(`Its ${conformanceCases.length} cases`)
  expect(readme).toContain(`For ${mistakes.length} mistakes`)
})
