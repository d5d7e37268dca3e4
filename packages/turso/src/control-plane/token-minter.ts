import {
  classifyConnectionError,
  configError,
  type DatabaseStatus,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { TursoDatabase } from '../locator.ts'
import { isPlatformError, type PlatformApi } from './platform-api.ts'

/** A token with its times, in milliseconds since the epoch. */
export interface MintedToken {
  readonly token: string
  readonly mintedAt: number
  readonly renewAt: number
  readonly expiresAt: number
}

/** Mints tokens with the Platform API. */
export interface TokenMinter {
  /** @throws `tenant_not_found` or `stale_tenant` when the database is gone; `tenant_not_ready` when it is too new */
  mint(database: TursoDatabase, signal: AbortSignal): Promise<MintedToken>
  /** Asks the platform which database has the name; one on another host counts as another database. */
  find(database: TursoDatabase, signal: AbortSignal): Promise<DatabaseStatus | undefined>
}

export interface TokenMinterOptions {
  readonly api: Pick<PlatformApi, 'get' | 'mintToken'>
  readonly redactor: Redactor
  /** In the API's form: `1h`, `2d`, `1d12h`. */
  readonly lifetime: string
  readonly now: () => number
}

/** The share of its lifetime after which a token is renewed. */
const RENEWAL_SHARE = 0.8

/** @throws `config_invalid` for a lifetime that the API does not accept or that is under a minute */
export function createTokenMinter({ api, redactor, lifetime, now }: TokenMinterOptions): TokenMinter {
  const lifetimeMs = parseLifetime(lifetime)

  /**
   * Tokens are minted by name, and only afterwards the API is asked which database has the name. If it is the expected
   * one, it had the name all along, because an id is never reused; so no token opens a re-created database.
   */
  async function mint(database: TursoDatabase, signal: AbortSignal): Promise<MintedToken> {
    const { name } = database
    const mintedAt = now()
    const token = await api.mintToken(name, lifetime, signal).catch((error: unknown) => {
      if (isPlatformError(error) && error.status === 404) return undefined
      throw error
    })
    redactor.add(token)
    const refusal = classifyConnectionError(await find(database, signal))
    if (refusal !== undefined) throw refusal
    if (token === undefined) {
      throw new TenancyError('tenant_not_ready', `The new database "${name}" does not accept tokens yet`, {
        retryAfter: 2,
      })
    }
    return {
      token,
      mintedAt,
      expiresAt: mintedAt + lifetimeMs,
      renewAt: mintedAt + lifetimeMs * RENEWAL_SHARE,
    }
  }

  async function find(
    { name, id, hostname }: TursoDatabase,
    signal: AbortSignal,
  ): Promise<DatabaseStatus | undefined> {
    const current = await api.get(name, signal)
    return current && { same: current.id === id && current.hostname === hostname }
  }

  return { mint, find }
}

/** Milliseconds, in the order in which a lifetime names its units. */
const UNITS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 }

/** @see https://docs.turso.tech/api-reference/databases/create-token */
function parseLifetime(lifetime: string): number {
  const match = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(String(lifetime))
  const ms = Object.values(UNITS).reduce(
    (sum, unit, index) => sum + unit * Number(match?.[index + 1] ?? 0),
    0,
  )
  if (ms >= 60_000) return ms
  throw configError('tokenLifetime', 'must be at least a minute, in the form 30m, 1h or 1d12h')
}
