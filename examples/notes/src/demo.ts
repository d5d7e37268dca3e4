import type { Tenant } from '@tenantry/multi-tenancy'
import type { Member, NotesAdapters } from './database.ts'
import { write } from './store.ts'

interface DemoTenant {
  readonly id: string
  readonly name: string
  readonly members: readonly Omit<Member, 'id'>[]
  /** Newest first. */
  readonly notes: readonly { title: string; body: string }[]
}

/** The tenants of the demo, each with data of its own. */
export const demoTenants: readonly DemoTenant[] = [
  {
    id: 'acme',
    name: 'Acme Rockets',
    members: [
      { name: 'Wile E.', email: 'wile@acme.example', role: 'admin' },
      { name: 'Roadrunner', email: 'beep@acme.example', role: 'member' },
    ],
    notes: [
      {
        title: 'Launch window',
        body: 'Thursday, 06:40, wind permitting.\nBring the long fuse this time.',
      },
      { title: 'Supplier', body: 'The anvils arrived early. The invoice was heavier.' },
    ],
  },
  {
    id: 'globex',
    name: 'Globex Corporation',
    members: [
      { name: 'Hank Scorpio', email: 'hank@globex.example', role: 'admin' },
      { name: 'Mindy', email: 'mindy@globex.example', role: 'member' },
      { name: 'Frank', email: 'frank@globex.example', role: 'member' },
    ],
    notes: [
      {
        title: 'Welcome, everyone',
        body: 'Hammocks are in the supply cupboard, next to the doomsday device.',
      },
      { title: 'Quarterly numbers', body: 'Up. Please do not ask how.' },
      { title: 'Parking', body: 'The volcano entrance is closed on Mondays.' },
    ],
  },
]

/**
 * Fills a new tenant's database. In one transaction, and only once: `provision` may run it again after a crash.
 */
export async function seedDemo(data: NotesAdapters, tenant: Tenant): Promise<void> {
  const {
    name,
    members = [],
    notes = [],
  } = demoTenants.find(({ id }) => id === tenant.id) ?? { name: tenant.id }
  const { db } = data
  const seeded = await db.selectFrom('workspace').select('id').executeTakeFirst()
  if (seeded !== undefined) return
  const stories = notes.map((note, index) => {
    const created = new Date(Date.now() - (index + 1) * 47 * 60_000).toISOString()
    const entry = {
      id: crypto.randomUUID(),
      actor: 'Setup',
      action: 'added note',
      subject: note.title,
      at: created,
    }
    return { note: { id: crypto.randomUUID(), ...note, created }, entry }
  })
  await write(data, [
    db.insertInto('workspace').values({ id: crypto.randomUUID(), name }),
    ...members.map((member) => db.insertInto('members').values({ id: crypto.randomUUID(), ...member })),
    ...stories.map(({ note }) => db.insertInto('notes').values(note)),
    ...stories.map(({ entry }) => db.insertInto('audit_log').values(entry)),
  ])
}
