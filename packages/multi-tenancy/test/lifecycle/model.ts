import { getOutcome } from '@tenantry/test-support'
import { expect } from 'vitest'
import { readStamp } from '../../src/database/identity.ts'
import { TRANSITIONS } from '../../src/lifecycle/transitions.ts'
import { MAX_AGE, type Process, type TestEnv } from './test-env.ts'

export type Action = 'provision' | 'deprovision' | 'suspend' | 'resume' | 'undelete' | 'purge' | 'migrate'
export type State = 'unknown' | 'active' | 'suspended' | 'deleted' | 'purged'

const STATES: readonly string[] = ['unknown', 'active', 'suspended', 'deleted', 'purged']

/** The state after an operation that has run; `undelete` returns to the state before the deletion. */
const STATE_AFTER: Readonly<Record<Action, State>> = {
  provision: 'active',
  deprovision: 'deleted',
  suspend: 'suspended',
  resume: 'active',
  undelete: 'active',
  purge: 'purged',
  migrate: 'active',
}

export function isState(state: string): state is State {
  return STATES.includes(state)
}

/** What the table of transitions says of an action on a tenant that no operation holds, and the state after it. */
export function effect(action: Action, state: State): { result: string; state: State } {
  const transition = TRANSITIONS[state][action]
  if (transition === 'confirm' || transition === 'ignore') return { result: 'succeeded', state }
  if (transition === 'begin' || transition === 'recreate') {
    return { result: 'succeeded', state: STATE_AFTER[action] }
  }
  return { result: transition, state }
}

/** The rows of each incarnation: those that were written, and those that may have been written. */
export interface Ledger {
  write(process: Process, id: string): Promise<void>
  /** Reads as a request does, and checks that it sees its own incarnation's rows, all of them, and no others. */
  request(process: Process, id: string): Promise<string>
}

export function createLedger(env: TestEnv): Ledger {
  const sure = new Map<string, Set<string>>()
  const perhaps = new Set<string>()
  let count = 0

  return {
    async write({ factory }, id) {
      const { generation, adapters } = await factory.open(id)
      const body = `${id}#${generation}#${count++}`
      perhaps.add(body)
      await adapters.db.insertInto('notes').values({ body }).execute()
      const key = `${id}#${generation}`
      sure.set(key, (sure.get(key) ?? new Set()).add(body))
    },
    async request({ factory }, id) {
      let seen: { generation: number; before: Set<string>; bodies: Set<string> } | undefined
      const result = await getOutcome(async () => {
        const { generation, adapters } = await factory.open(id)
        const before = new Set(sure.get(`${id}#${generation}`))
        const rows = await adapters.db.selectFrom('notes').select('body').execute()
        seen = { generation, before, bodies: new Set(rows.map(({ body }) => String(body))) }
      })
      if (seen === undefined) return result
      const { generation, before, bodies } = seen
      for (const body of bodies) {
        expect(body.startsWith(`${id}#${generation}#`), `${id} g${generation} reads ${body}`).toBe(true)
        expect(perhaps.has(body)).toBe(true)
      }
      for (const body of before) expect(bodies.has(body), `${body} is lost`).toBe(true)
      await servedRightly(env, id, generation)
      return result
    },
  }
}

/** Asserts that a tenant that is served had a state that allows it within `stateMaxAge`. */
async function servedRightly(env: TestEnv, id: string, generation: number): Promise<void> {
  const history = await readHistory(env, id, generation)
  const now = env.time.now()
  const rightly = history.some(({ state }, index) => {
    const until = history[index + 1]?.at ?? now
    return (state === 'active' || state === 'upgrading') && until >= now - MAX_AGE
  })
  expect(rightly, `${id} g${generation} is served after ${JSON.stringify(history)}`).toBe(true)
}

interface Entry {
  readonly state: string
  readonly superseded: number
  readonly at: number
}

async function readHistory({ db }: TestEnv, id: string, generation: number): Promise<Entry[]> {
  const untyped = db as unknown as import('kysely').Kysely<any>
  return (await untyped
    .selectFrom('history')
    .selectAll()
    .where('tenant_id', '=', id)
    .where('generation', '=', generation)
    .orderBy('n')
    .execute()) as unknown as Entry[]
}

/** Records each state of a tenant, from every process. */
export async function keepHistory({ db }: TestEnv): Promise<void> {
  const { sql } = await import('kysely')
  const entry =
    'INSERT INTO history (tenant_id, generation, state, superseded, at) VALUES (new.tenant_id, new.generation, new.state, new.superseded, new.updated_at)'
  for (const statement of [
    'CREATE TABLE history (n INTEGER PRIMARY KEY, tenant_id TEXT, generation INTEGER, state TEXT, superseded INTEGER, at INTEGER)',
    `CREATE TRIGGER inserted AFTER INSERT ON tenantry_tenants BEGIN ${entry}; END`,
    `CREATE TRIGGER changed AFTER UPDATE ON tenantry_tenants WHEN old.state <> new.state OR old.superseded <> new.superseded BEGIN ${entry}; END`,
  ]) {
    await sql.raw(statement).execute(db)
  }
}

const NEXT: Record<string, readonly string[]> = {
  provisioning: ['active', 'failed'],
  active: ['upgrading', 'suspended', 'deprovisioning', 'failed'],
  upgrading: ['active', 'failed'],
  suspended: ['active', 'deprovisioning', 'failed'],
  deprovisioning: ['deleted', 'failed'],
  deleted: ['active', 'suspended', 'purged', 'failed'],
  failed: ['provisioning', 'active', 'upgrading', 'suspended', 'deprovisioning'],
  purged: [],
}

/** Asserts the invariants that hold at any time. */
export async function checkAlways(env: TestEnv): Promise<void> {
  const rows = await env.db.selectFrom('tenantry_tenants').selectAll().orderBy('generation').execute()
  const living = new Map<string, number>()
  for (const { tenant_id: id, generation, state, superseded, name, operation_id } of rows) {
    const what = `${id} g${generation} ${state}`
    if (superseded) expect(['deleted', 'purged'], `${what}, superseded`).toContain(state)
    else living.set(id, (living.get(id) ?? 0) + 1)
    if (state === 'purged') expect(env.service.databases.has(name), what).toBe(false)
    const served = ['active', 'upgrading', 'suspended'].includes(state)
    if (served || (state === 'deleted' && operation_id === null)) {
      const database = await readDatabaseStamp(env, name)
      const ready = rows.find((row) => row.name === name)?.ready_at !== null
      if (ready) expect(database, what).toMatchObject({ tenantId: id, generation: Number(generation) })
    }
    const history = await readHistory(env, id, Number(generation))
    history.reduce((before, after) => {
      const ok = before.state === after.state || NEXT[before.state]?.includes(after.state)
      expect(ok, `${id} g${generation}: ${before.state} → ${after.state}`).toBe(true)
      // Once its place is taken, only purging is left.
      if (before.superseded) expect(['deleted', 'purged']).toContain(after.state)
      return after
    })
  }
  for (const [id, count] of living) expect(count, `incarnations of ${id}`).toBe(1)
  const names = new Set(rows.map(({ name }) => name))
  for (const name of env.service.databases.keys()) expect(names.has(name), `${name} has no record`).toBe(true)
}

async function readDatabaseStamp({ service }: TestEnv, name: string) {
  if (!service.databases.has(name)) return undefined
  return readStamp('sqlite', ({ sql }) => service.rows(name, sql))
}
