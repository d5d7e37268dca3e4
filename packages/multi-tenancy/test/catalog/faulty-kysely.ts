import type { Kysely, KyselyPlugin } from 'kysely'

/** A Kysely whose statements a test can make fail. */
export interface FaultyKysely {
  readonly db: Kysely<any>
  /** Statements since `arm`. */
  count(): number
  /**
   * The statement at `index` (from 0, counted from now) fails once: `before` it runs, or `after`, with its reply
   * lost. `outage` fails it and all later statements, before they run.
   */
  arm(index: number, mode: 'before' | 'after' | 'outage'): void
  disarm(): void
}

/** The error of a driver whose connection was lost. */
export function lostConnection(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
}

export function createFaultyKysely(bare: Kysely<any>): FaultyKysely {
  let count = 0
  let armed: { index: number; mode: 'before' | 'after' | 'outage' } | undefined
  const plugin: KyselyPlugin = {
    transformQuery({ node }) {
      const index = count++
      if (armed === undefined) return node
      const { mode } = armed
      if (mode === 'outage' ? index >= armed.index : mode === 'before' && index === armed.index)
        throw lostConnection()
      return node
    },
    async transformResult({ result }) {
      if (armed?.mode === 'after' && count - 1 === armed.index) throw lostConnection()
      return result
    },
  }
  return {
    db: bare.withPlugin(plugin),
    count: () => count,
    arm(index, mode) {
      count = 0
      armed = { index, mode }
    },
    disarm() {
      count = 0
      armed = undefined
    },
  }
}

/** A Kysely that sends only the given number of statements, as a process that dies afterwards. */
export function dying(db: Kysely<any>, statements: number): { db: Kysely<any>; count(): number } {
  let count = 0
  const executor = db.getExecutor()
  const provide = executor.provideConnection.bind(executor)
  const provideConnection: typeof provide = (consumer, ...rest) =>
    provide(
      (connection) =>
        consumer({
          executeQuery: (...query) =>
            count++ < statements ? connection.executeQuery(...query) : Promise.reject(new Error('killed')),
          streamQuery: connection.streamQuery.bind(connection),
        }),
      ...rest,
    )
  Object.defineProperty(executor, 'provideConnection', { value: provideConnection })
  return { db, count: () => count }
}
