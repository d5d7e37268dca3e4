import { createGate, getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import type { OperationKind } from '../../src/types/record.ts'
import { createTestEnv, type Process, RETENTION, type TestEnv } from './test-env.ts'

const ID = 'acme'

/** A env with a tenant brought to a state, and who is to act on it next. */
interface Stage {
  readonly env: TestEnv
  readonly actor: Process
  /** Ends the running operation. */
  finish?(): Promise<unknown>
}

async function active(): Promise<Stage> {
  const env = createTestEnv()
  const actor = await env.start({ waitTimeout: 1_000 })
  await actor.lifecycle.provision(ID)
  return { env, actor }
}

/** Begins an operation in another process, which stands still in it, alive. */
async function underWay(
  from: () => Promise<Stage>,
  member: string,
  begin: (it: Process) => Promise<unknown>,
  newer = false,
): Promise<Stage> {
  const { env, actor } = await from()
  const gate = createGate()
  const other = await env.start({
    ...(newer && { migrations: NEWER }),
    around: async (name, run) => {
      if (name.startsWith(member)) {
        await gate.pass()
      }
      return run()
    },
  })
  const running = begin(other)
  await Promise.race([gate.reached, running])
  return {
    env,
    actor,
    async finish() {
      gate.open()
      await running
    },
  }
}

/** An operation that fails in another process for good. */
async function failing(
  from: () => Promise<Stage>,
  member: string,
  begin: (it: Process) => Promise<unknown>,
  newer = false,
): Promise<Stage> {
  const { env, actor } = await from()
  const other = await env.start({
    ...(newer && { migrations: NEWER }),
    around: async (name, run) => {
      if (name.startsWith(member)) throw new TenancyError('provider_rejected', 'refused')
      return run()
    },
  })
  await begin(other).then(
    () => {
      throw new Error('It did not fail')
    },
    () => {},
  )
  return { env, actor }
}

const NEWER = {
  '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)',
  '0002_tags': 'CREATE TABLE tags (name TEXT)',
}

const unknown = async (): Promise<Stage> => {
  const env = createTestEnv()
  return { env, actor: await env.start({ waitTimeout: 1_000 }) }
}
const then =
  (stage: () => Promise<Stage>, next: (it: Process, env: TestEnv) => Promise<unknown>) => async () => {
    const reached = await stage()
    await next(reached.actor, reached.env)
    return reached
  }
const suspended = then(active, ({ lifecycle }) => lifecycle.suspend(ID))
const deleted = then(active, ({ lifecycle }) => lifecycle.deprovision(ID))

const STATES: Record<string, () => Promise<Stage>> = {
  unknown,
  'provisioning, under way': () => underWay(unknown, 'create', ({ lifecycle }) => lifecycle.provision(ID)),
  active,
  'upgrading, under way': () => underWay(active, 'batch', ({ lifecycle }) => lifecycle.migrate(ID), true),
  'suspended, under way': () => underWay(active, 'closed', ({ lifecycle }) => lifecycle.suspend(ID)),
  suspended,
  'suspended, resume under way': () => underWay(suspended, 'open', ({ lifecycle }) => lifecycle.resume(ID)),
  'deprovisioning, under way': () => underWay(active, 'closed', ({ lifecycle }) => lifecycle.deprovision(ID)),
  deleted,
  'deleted, undelete under way': () => underWay(deleted, 'open', ({ lifecycle }) => lifecycle.undelete(ID)),
  'deleted and due': then(deleted, (_, { time }) => time.advance(RETENTION)),
  'deleted, purge under way': () =>
    underWay(
      then(deleted, (_, { time }) => time.advance(RETENTION)),
      'drop',
      ({ lifecycle }) => lifecycle.purge(ID),
    ),
  purged: then(
    then(deleted, (_, { time }) => time.advance(RETENTION)),
    ({ lifecycle }) => lifecycle.purge(ID),
  ),
  'deleted, never ready': then(
    () => failing(unknown, 'batch', ({ lifecycle }) => lifecycle.provision(ID)),
    ({ lifecycle }) => lifecycle.deprovision(ID),
  ),
  'failed to provision': () => failing(unknown, 'batch', ({ lifecycle }) => lifecycle.provision(ID)),
  'failed to migrate': () => failing(active, 'batch', ({ lifecycle }) => lifecycle.migrate(ID), true),
  'failed to suspend': () => failing(active, 'closed', ({ lifecycle }) => lifecycle.suspend(ID)),
  'failed to resume': () => failing(suspended, 'open', ({ lifecycle }) => lifecycle.resume(ID)),
  'failed to deprovision': () => failing(active, 'batch', ({ lifecycle }) => lifecycle.deprovision(ID)),
  'failed to undelete': () => failing(deleted, 'batch', ({ lifecycle }) => lifecycle.undelete(ID)),
  'failed to purge': () =>
    failing(
      then(deleted, (_, { time }) => time.advance(RETENTION)),
      'drop',
      ({ lifecycle }) => lifecycle.purge(ID),
    ),
  'failed: its database went missing': then(active, async (_, env) => {
    await env.service.databases.get('tenant_acme')?.destroy()
    env.service.databases.delete('tenant_acme')
    await env.updateTenantRow(ID, { state: 'failed' })
  }),
}

type Action =
  | Exclude<OperationKind, 'purge'>
  | 'provision, exclusive'
  | 'purge, due'
  | 'purge, by uid'
  | 'retry'
  | 'update'
  | 'request'

const ACTIONS: Record<Action, (it: Process) => Promise<unknown>> = {
  provision: ({ lifecycle }) => lifecycle.provision(ID),
  'provision, exclusive': ({ lifecycle }) => lifecycle.provision(ID, { exclusive: true }),
  migrate: ({ lifecycle }) => lifecycle.migrate(ID),
  suspend: ({ lifecycle }) => lifecycle.suspend(ID),
  resume: ({ lifecycle }) => lifecycle.resume(ID),
  deprovision: ({ lifecycle }) => lifecycle.deprovision(ID),
  undelete: ({ lifecycle }) => lifecycle.undelete(ID),
  'purge, due': ({ lifecycle }) => lifecycle.purge(ID),
  'purge, by uid': async ({ lifecycle }) => {
    const { uid } = await lifecycle.get(ID).catch(() => ({ uid: 'none' }))
    return lifecycle.purge(ID, { uid })
  },
  retry: ({ lifecycle }) => lifecycle.retry(ID),
  update: ({ lifecycle }) => lifecycle.update(ID, { plan: 'pro' }),
  request: async ({ factory }) => {
    const { db } = await factory.getAdapters(ID)
    return db.selectFrom('notes').selectAll().execute()
  },
}

/**
 * What each action does in each state: the state the tenant has then (`·2`: a second incarnation), or the code of
 * what it threw, having changed nothing.
 */
const EXPECTED = `
tenant is                         | provision | provision, exclusive | migrate      | suspend   | resume    | deprovision | undelete  | purge, due | purge, by uid | retry          | update       | request
unknown                           | active    | active               | not found    | not found | not found | unknown     | not found | not found  | not found     | not found      | not found    | not found
provisioning, under way           | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | provisioning   | provisioning | not ready
active                            | active    | conflict             | active       | suspended | active    | deleted     | active    | conflict   | conflict      | active         | active       | active
upgrading, under way              | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | upgrading      | upgrading    | upgrading
suspended, under way              | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | suspended      | suspended    | is suspended
suspended                         | conflict  | conflict             | is suspended | suspended | active    | deleted     | suspended | conflict   | conflict      | suspended      | suspended    | is suspended
suspended, resume under way       | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | suspended      | suspended    | is suspended
deprovisioning, under way         | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | deprovisioning | not found    | not found
deleted                           | active·2  | active·2             | not found    | not found | not found | deleted     | active    | conflict   | purged        | deleted        | not found    | not found
deleted, undelete under way       | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | deleted        | not found    | not found
deleted and due                   | active·2  | active·2             | not found    | not found | not found | purged      | active    | purged     | purged        | deleted        | not found    | not found
deleted, purge under way          | conflict  | conflict             | conflict     | conflict  | conflict  | conflict    | conflict  | conflict   | conflict      | deleted        | not found    | not found
purged                            | active·2  | active·2             | not found    | not found | not found | purged      | not found | purged     | purged        | not found      | not found    | not found
deleted, never ready              | active·2  | active·2             | not found    | not found | not found | deleted     | conflict  | conflict   | purged        | deleted        | not found    | not found
failed to provision               | active    | active               | not ready    | conflict  | conflict  | deleted     | conflict  | conflict   | conflict      | active         | failed       | not ready
failed to migrate                 | active    | conflict             | active       | suspended | active    | deleted     | active    | conflict   | conflict      | active         | active       | active
failed to suspend                 | conflict  | conflict             | is suspended | suspended | active    | deleted     | suspended | conflict   | conflict      | suspended      | suspended    | is suspended
failed to resume                  | conflict  | conflict             | is suspended | suspended | active    | deleted     | suspended | conflict   | conflict      | active         | suspended    | is suspended
failed to deprovision             | conflict  | conflict             | not ready    | conflict  | conflict  | deleted     | conflict  | conflict   | conflict      | deleted        | failed       | not found
failed to undelete                | active·2  | active·2             | not found    | not found | not found | deleted     | active    | conflict   | purged        | active         | not found    | not found
failed to purge                   | active·2  | active·2             | not found    | not found | not found | purged      | active    | purged     | purged        | purged         | not found    | not found
failed: its database went missing | conflict  | conflict             | not found    | suspended | not found | deleted     | conflict  | conflict   | conflict      | failed         | failed       | not ready
`

const [HEAD = '', ...LINES] = EXPECTED.trim().split('\n')
const COLUMNS = HEAD.split('|').map((cell) => cell.trim())
const CODES: Record<string, string> = {
  conflict: 'conflict',
  'not found': 'tenant_not_found',
  'not ready': 'tenant_not_ready',
  'is suspended': 'tenant_suspended',
}

async function readState({ env }: Stage): Promise<string> {
  const rows = await env.db.selectFrom('tenantry_tenants').selectAll().orderBy('generation').execute()
  return rows.length === 0 ? 'unknown' : `${rows.at(-1)?.state}${rows.length > 1 ? `·${rows.length}` : ''}`
}

describe('every action in every state', () => {
  it('is in the table', () => {
    expect(COLUMNS.slice(1)).toEqual(Object.keys(ACTIONS))
    expect(LINES.map((line) => line.split('|')[0]?.trim())).toEqual(Object.keys(STATES))
  })

  for (const line of LINES) {
    const [state = '', ...cells] = line.split('|').map((cell) => cell.trim())
    it(state, async () => {
      for (const [index, act] of Object.values(ACTIONS).entries()) {
        const stage = await (STATES[state] ?? unknown)()
        const before = await readState(stage)
        const result = await getOutcome(act(stage.actor))
        const cell = cells[index] ?? ''
        const code = CODES[cell]
        const what = `${COLUMNS[index + 1]} of a tenant that is ${state}`
        expect(result, what).toBe(code ?? 'succeeded')
        expect(await readState(stage), what).toBe(code === undefined ? cell : before)
        await stage.finish?.()
      }
    })
  }
})
