import { DurableObject } from 'cloudflare:workers'
import type { Snapshot } from './snapshot.ts'

/** The time a database was in one state. */
export interface Period {
  /** The state's number: how many changes came before. */
  readonly state: number
  /** Milliseconds since the epoch, of the change that led to it. */
  readonly from: number
}

interface Entry extends Period {
  readonly parts: number
}

/** Time Travel reaches back 30 days. */
const reachMs = 30 * 24 * 60 * 60 * 1000

/** How many states of a database are kept; a local disk is not the service's. */
const capacity = 200

/** A stored value may have 2 MB. */
const partLength = 400_000

/** The earlier states of one database. They are kept apart from it, so that its size and its tables are its own. */
export class History extends DurableObject<unknown> {
  /** Stores a state, or an empty entry for a state without a snapshot. Idempotent. */
  keep(period: Period, snapshot: Snapshot | undefined, now: number): void {
    const { kv } = this.ctx.storage
    const entries = this.entries()
    if (entries.some(({ state }) => state === period.state)) return
    const text = snapshot === undefined ? '' : JSON.stringify(snapshot, bytesToJson)
    const parts = Math.ceil(text.length / partLength)
    for (let part = 0; part < parts; part += 1) {
      kv.put(`${period.state}/${part}`, text.slice(part * partLength, (part + 1) * partLength))
    }
    const all = [...entries, { ...period, parts }]
    const retained = all.filter(({ from }) => from >= now - reachMs).slice(-capacity)
    for (const entry of all) if (!retained.includes(entry)) this.#forget(entry)
    kv.put('entries', retained)
  }

  /** The states kept, oldest first. */
  entries(): Entry[] {
    return this.ctx.storage.kv.get<Entry[]>('entries') ?? []
  }

  /** A stored state; `undefined` for an empty entry. */
  read(state: number): Snapshot | undefined {
    const entry = this.entries().find((candidate) => candidate.state === state)
    if (entry === undefined || entry.parts === 0) return undefined
    const parts = Array.from({ length: entry.parts }, (_, part) =>
      this.ctx.storage.kv.get<string>(`${state}/${part}`),
    )
    return JSON.parse(parts.join(''), jsonToBytes) as Snapshot
  }

  /** Forgets everything. */
  async clear(): Promise<void> {
    await this.ctx.storage.deleteAll()
  }

  #forget({ state, parts }: Entry): void {
    for (let part = 0; part < parts; part += 1) this.ctx.storage.kv.delete(`${state}/${part}`)
  }
}

function bytesToJson(_key: string, value: unknown): unknown {
  return value instanceof ArrayBuffer ? { bytes: Array.from(new Uint8Array(value)) } : value
}

function jsonToBytes(_key: string, value: unknown): unknown {
  const bytes = (value as { bytes?: unknown } | null)?.bytes
  return Array.isArray(bytes) ? new Uint8Array(bytes).buffer : value
}
