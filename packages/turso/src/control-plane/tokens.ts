import {
  configError,
  explainRefusal,
  type FoundDatabase,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy'
import { HttpError } from '../http.ts'
import type { PlatformApi, TursoDatabase } from './platform-api.ts'

/** The short-lived tokens of databases. Each opens one database and is kept as plain data, on Workers too. */
export interface TokenStore {
  /** A token that should be good, minted if need be; renewed once 80 % of its life are over. */
  get(database: TursoDatabase, signal?: AbortSignal): Promise<string>
  /**
   * Another token than the one the database has just refused.
   *
   * @throws `credentials_rejected` when that one was itself such a renewal, brand new and never good: minting again
   * would not help
   */
  renew(database: TursoDatabase, refused: string): Promise<string>
  /** To be told that the database took a token. */
  accepted(database: TursoDatabase): void
  /** Asks the platform what has the database's name; one that moved is another. */
  find(database: TursoDatabase, signal?: AbortSignal): Promise<FoundDatabase | undefined>
  forget(database: TursoDatabase): void
}

/** What tokens are made with. */
export interface TokenStoreOptions {
  readonly api: Pick<PlatformApi, 'get' | 'mintToken'>
  readonly redactor: Redactor
  /** As the API takes it: `1h`, `2d`, `1d12h`. */
  readonly lifetime: string
  /** Whether one caller may wait for what another began (not on Workers). */
  readonly shared: boolean
  readonly now: () => number
}

interface KeptToken {
  readonly token: string
  readonly minted: number
  readonly expires: number
  renewAt: number
  /** Minted because another was refused, and not taken by the database yet. */
  untried: boolean
}

const MAX_TOKENS = 1_000
const RENEW_AT = 0.8
/** Milliseconds after its minting in which a renewed token that is refused too is not minted anew. */
const BRAND_NEW = 5_000
/** Milliseconds until a renewal that failed is tried again, while the old token is still good. */
const RENEWAL_PAUSE = 30_000
const PLATFORM_TIMEOUT = 10_000

/** @throws `config_invalid` for a lifetime the API would not take, one without end, or under a minute */
export function createTokenStore({ api, redactor, lifetime, shared, now }: TokenStoreOptions): TokenStore {
  const life = millisecondsOf(lifetime)
  const kept = new Map<string, KeptToken>()
  const flights = new Map<string, Promise<string>>()

  /**
   * Tokens are minted by name. Only afterwards the API is asked which database has the name: if it is the one we
   * know, it had the name all along, because an id never comes back; so no token ever opens a re-created database.
   */
  async function mint(database: TursoDatabase, signal: AbortSignal): Promise<string> {
    const { name, id } = database
    const minted = now()
    const token = await api.mintToken(name, lifetime, signal).catch((error: unknown) => {
      if (error instanceof HttpError && error.status === 404) return undefined
      throw error
    })
    redactor.add(token)
    const refusal = explainRefusal(await find(database, signal))
    if (refusal !== undefined) throw refusal
    if (token === undefined) {
      throw new TenancyError('tenant_not_ready', 'The database takes no tokens yet', { retryAfter: 2 })
    }
    keep(id, { token, minted, expires: minted + life, renewAt: minted + life * RENEW_AT, untried: false })
    return token
  }

  async function find(
    { name, id, hostname }: TursoDatabase,
    signal: AbortSignal = AbortSignal.timeout(PLATFORM_TIMEOUT),
  ): Promise<FoundDatabase | undefined> {
    const current = await api.get(name, signal)
    return current && { same: current.id === id && current.hostname === hostname }
  }

  function keep(id: string, token: KeptToken): void {
    kept.delete(id)
    if (kept.size >= MAX_TOKENS) for (const oldest of kept.keys()) if (kept.delete(oldest)) break
    kept.set(id, token)
  }

  function mintOnce(
    database: TursoDatabase,
    signal = AbortSignal.timeout(PLATFORM_TIMEOUT),
  ): Promise<string> {
    if (!shared) return mint(database, signal)
    const running = flights.get(database.id)
    if (running !== undefined) return running
    // Whoever waits with it must not lose it because the first one gave up.
    const flight = mint(database, AbortSignal.timeout(PLATFORM_TIMEOUT)).finally(() => {
      flights.delete(database.id)
    })
    flights.set(database.id, flight)
    return flight
  }

  return {
    find,
    async get(database, signal) {
      const current = kept.get(database.id)
      if (current === undefined || current.expires <= now()) return mintOnce(database, signal)
      if (current.renewAt > now()) return current.token
      const renewal = mintOnce(database, signal).catch((error: unknown) => {
        if (isFinal(error)) {
          kept.delete(database.id)
          throw error
        }
        // The old one is good for a while yet, and a platform that fails must not be asked by every request.
        current.renewAt = now() + RENEWAL_PAUSE
        return current.token
      })
      if (!shared) return renewal
      // Nobody needs to wait for it, nor to be told.
      renewal.catch(() => {})
      return current.token
    },
    async renew(database, refused) {
      const current = kept.get(database.id)
      if (current !== undefined && current.token !== refused) return current.token
      if (current?.untried && now() - current.minted < BRAND_NEW) {
        throw new TenancyError('credentials_rejected', 'The database refuses the token just minted for it')
      }
      const token = await mintOnce(database)
      const renewed = kept.get(database.id)
      if (renewed?.token === token) renewed.untried = true
      return token
    },
    accepted({ id }) {
      const current = kept.get(id)
      if (current !== undefined) current.untried = false
    },
    forget({ id }) {
      kept.delete(id)
    },
  }
}

/** The platform says that this is not our database any more. */
function isFinal(error: unknown): boolean {
  return error instanceof TenancyError && ['tenant_not_found', 'stale_tenant'].includes(error.code)
}

const UNITS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 }

/** @see https://docs.turso.tech/api-reference/databases/create-token */
function millisecondsOf(lifetime: string): number {
  const match = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(String(lifetime))
  const life = Object.values(UNITS).reduce(
    (sum, unit, index) => sum + unit * Number(match?.[index + 1] ?? 0),
    0,
  )
  if (life < 60_000) throw configError('tokenLifetime', 'is at least a minute, such as 1h, 30m or 1d12h')
  return life
}
