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
  /** A client received this state's bookmark, so the state must stay restorable. */
  readonly promised: boolean
}

/** SQLite has no list of what a statement reads only; what begins so does. */
const readsOnly = /^\s*(?:select|explain|pragma)\b/i

const missingDatabase = 'The database could not be found'

/** One D1 database: SQLite as Durable Objects have it, which is the engine under D1. */
export class Database extends DurableObject<DatabaseEnv> {
  #last: Promise<unknown> = Promise.resolve()

  /** Creates the database. Idempotent. */
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
      return { ok: true, results, bookmark: formatBookmark(this.#state()) }
    })
  }

  dump(options: WireDumpOptions): Promise<{ ok: true; text: string } | WireProblem> {
    return this.#attempt(async () => ({ ok: true, text: dumpSql(this.ctx.storage.sql, options) }))
  }

  /** The bookmark of a moment. From now on that state can be restored. */
  bookmark(moment: WireMoment): Promise<WireTravel> {
    return this.#attempt(async () => {
      const period = await this.#periodAt(moment)
      const state = this.#state()
      if (period.state === state.state) this.#save({ ...state, promised: true })
      const bookmark = formatBookmark({ ...state, ...period })
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
      // The answer promises an undo bookmark, so a state that cannot be stored is not left.
      if (snapshot === undefined || (await history.read(before.state)) === undefined) {
        throw new Error('the emulator keeps no history of a database with virtual tables')
      }
      this.ctx.storage.transactionSync(() => {
        restoreSnapshot(this.ctx.storage.sql, snapshot)
        this.#advance(now)
      })
      const after = this.#state()
      this.#save({ ...after, promised: true })
      return { ok: true, bookmark: formatBookmark(after), previous: formatBookmark(before) }
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
      // A state without history can still be written to; only a restore to it fails.
    }
    await this.env.HISTORY.getByName(state.uuid).keep({ state: state.state, from: state.from }, snapshot, now)
  }

  async #periodAt({ bookmark, timestamp }: WireMoment): Promise<Period> {
    const state = this.#state()
    const known = [...(await this.env.HISTORY.getByName(state.uuid).entries()), state]
    if (bookmark !== undefined) {
      const match = known.find((period) => formatBookmark({ ...state, ...period }) === bookmark)
      if (match === undefined) throw new Error('no such bookmark')
      return match
    }
    const period = timestamp === undefined ? state : known.findLast(({ from }) => from <= timestamp)
    if (period === undefined) throw new Error('timestamp is before the database was created, or too old')
    return period
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
function formatBookmark({ uuid, state }: Pick<State, 'uuid' | 'state'>): string {
  const hex = state.toString(16).padStart(8, '0')
  return `${hex}-00000000-00004c6d-${uuid.replaceAll('-', '')}`
}
