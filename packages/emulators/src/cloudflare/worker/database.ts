import { DurableObject } from 'cloudflare:workers'
import { dumpSql } from './dump.ts'
import type { History, Period } from './history.ts'
import { restoreSnapshot, takeSnapshot } from './snapshot.ts'
import { runStatement } from './statement.ts'
import type { WireDumpOptions, WireMoment, WireProblem, WireRun, WireStatement, WireTravel } from './wire.ts'

/** What {@link Database} needs around it: objects by the database's uuid. */
export interface DatabaseEnv {
  readonly HISTORY: { getByName(uuid: string): Stub<History> }
}

/** An object behind a call: every method answers with a promise. */
export type Stub<T> = {
  [K in keyof T]: T[K] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never
}

interface State extends Period {
  readonly uuid: string
  /** Somebody was told this state's bookmark, so it has to be there to come back to. */
  readonly promised: boolean
}

/** SQLite has no list of what a statement reads only; what begins so does. */
const readsOnly = /^\s*(?:select|explain|pragma)\b/i

const missingDatabase = 'The database could not be found'

/** One D1 database: SQLite as Durable Objects have it, which is the engine under D1. */
export class Database extends DurableObject<DatabaseEnv> {
  #last: Promise<unknown> = Promise.resolve()

  /** Makes the database; making it again changes nothing. */
  create(uuid: string, now: number): void {
    if (this.#find() === undefined) this.#save({ uuid, state: 0, from: now, promised: false })
  }

  /** Removes it with its history. Removing an absent one succeeds. */
  destroy(): Promise<void> {
    return this.#serial(async () => {
      const uuid = this.#find()?.uuid
      if (uuid === undefined) return
      await this.env.HISTORY.getByName(uuid).clear()
      await this.ctx.storage.deleteAll()
    })
  }

  exists(): boolean {
    return this.#find() !== undefined
  }

  info(): { num_tables: number; file_size: number } {
    const { sql } = this.ctx.storage
    const counted = sql.exec(
      `SELECT count(*) FROM sqlite_schema
       WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'`,
    )
    return { num_tables: Number([...counted.raw()][0]?.[0]), file_size: sql.databaseSize }
  }

  /** Runs statements as one transaction. */
  run(statements: readonly WireStatement[], now: number): Promise<WireRun> {
    return this.#attempt(async () => {
      if (statements.length === 0) throw new Error('No SQL statements detected.')
      const writes = !statements.every(({ sql }) => readsOnly.test(sql))
      if (writes) await this.#keep(now)
      const results = this.ctx.storage.transactionSync(() => {
        const done = statements.map((statement) => runStatement(this.ctx.storage.sql, statement))
        if (writes || done.some(({ meta }) => meta.changed_db)) this.#advance(now)
        return done
      })
      return { ok: true, results, bookmark: bookmarkOf(this.#state()) }
    })
  }

  dump(options: WireDumpOptions): Promise<{ ok: true; text: string } | WireProblem> {
    return this.#attempt(async () => ({ ok: true, text: dumpSql(this.ctx.storage.sql, options) }))
  }

  /** The bookmark of a moment, which from now on can be come back to. */
  bookmark(moment: WireMoment): Promise<WireTravel> {
    return this.#attempt(async () => {
      const period = await this.#periodAt(moment)
      const state = this.#state()
      if (period.state === state.state) this.#save({ ...state, promised: true })
      const bookmark = bookmarkOf({ ...state, ...period })
      return { ok: true, bookmark, previous: bookmark }
    })
  }

  /** Puts the database back to how it was at a moment. That is a change like any other, and can be undone. */
  restore(moment: WireMoment, now: number): Promise<WireTravel> {
    return this.#attempt(async () => {
      const period = await this.#periodAt(moment)
      const before = this.#state()
      this.#save({ ...before, promised: true })
      await this.#keep(now)
      const history = this.env.HISTORY.getByName(before.uuid)
      const snapshot = await history.read(period.state)
      // Nor where the way back, which the answer promises, could not be kept.
      if (snapshot === undefined || (await history.read(before.state)) === undefined) {
        throw new Error('the emulator keeps no history of a database with virtual tables')
      }
      this.ctx.storage.transactionSync(() => {
        restoreSnapshot(this.ctx.storage.sql, snapshot)
        this.#advance(now)
      })
      const after = this.#state()
      this.#save({ ...after, promised: true })
      return { ok: true, bookmark: bookmarkOf(after), previous: bookmarkOf(before) }
    })
  }

  /** One at a time: between a snapshot and the change that follows it nothing may come. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }

  #attempt<T>(work: () => Promise<T>): Promise<T | WireProblem> {
    return this.#serial(async () => {
      if (this.#find() === undefined) return { ok: false, error: missingDatabase, missing: true }
      try {
        return await work()
      } catch (error) {
        return { ok: false, error: error instanceof Error ? error.message : String(error) }
      }
    })
  }

  /**
   * Keeps the present state if it may be asked for: when its bookmark is known, and once for every minute of the
   * clock, which is as fine as the service's own timestamps go.
   */
  async #keep(now: number): Promise<void> {
    const state = this.#state()
    if (!state.promised && Math.floor(state.from / 60_000) === Math.floor(now / 60_000)) return
    let snapshot: ReturnType<typeof takeSnapshot> | undefined
    try {
      snapshot = takeSnapshot(this.ctx.storage.sql)
    } catch {
      // What has no history can still be written to; coming back to it is what fails.
    }
    await this.env.HISTORY.getByName(state.uuid).keep({ state: state.state, from: state.from }, snapshot, now)
  }

  async #periodAt({ bookmark, timestamp }: WireMoment): Promise<Period> {
    const state = this.#state()
    const known = [...(await this.env.HISTORY.getByName(state.uuid).entries()), state]
    if (bookmark !== undefined) {
      const found = known.find((period) => bookmarkOf({ ...state, ...period }) === bookmark)
      if (found === undefined) throw new Error('no such bookmark')
      return found
    }
    const found = timestamp === undefined ? state : known.findLast(({ from }) => from <= timestamp)
    if (found === undefined) throw new Error('timestamp is before the database was made, or too old')
    return found
  }

  #advance(now: number): void {
    const { uuid, state } = this.#state()
    this.#save({ uuid, state: state + 1, from: now, promised: false })
  }

  #find(): State | undefined {
    return this.ctx.storage.kv.get<State>('state')
  }

  #state(): State {
    const state = this.#find()
    if (state === undefined) throw new Error(missingDatabase)
    return state
  }

  #save(state: State): void {
    this.ctx.storage.kv.put('state', state)
  }
}

/** A bookmark in the service's form: they sort as text in the order of time. */
function bookmarkOf({ uuid, state }: Pick<State, 'uuid' | 'state'>): string {
  const hex = state.toString(16).padStart(8, '0')
  return `${hex}-00000000-00004c6d-${uuid.replaceAll('-', '')}`
}
