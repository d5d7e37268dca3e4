import { deepEqual } from 'node:assert/strict'
import { type ConformanceCase, defineCases } from '../case.ts'
import { expectSuccess } from '../support/expect-error.ts'
import { NOTES, readNotes, writeNote } from '../support/notes.ts'

/** Adapters that a handler ended although the factory shares them. */
export const endedAdapters: readonly ConformanceCase[] = defineCases('ended adapters', [
  {
    name: 'serves the next request after a handler destroyed the adapters of its tenant',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await factory.provision('acme')
      const { db } = await factory.getAdapters('acme')
      await writeNote(db, 1, 'before')
      await db.destroy()
      const next = await factory.getAdapters('acme')
      deepEqual(await expectSuccess('a read after destroy()', () => readNotes(next.db)), ['before'])
    },
  },
])
