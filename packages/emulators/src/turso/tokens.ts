import { generateKeyPairSync } from 'node:crypto'
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { ApiError } from './errors.ts'

/** An Ed25519 key pair in the two forms the emulator needs: to sign (JWK) and to hand to sqld (PEM). */
export interface SigningKey {
  readonly privateJwk: JWK
  readonly publicPem: string
}

/** What a token lets its bearer do. */
export type Authorization = 'full-access' | 'read-only'

/** The claims of a SQL token that are not about time. */
export interface TokenGrant {
  readonly authorization: Authorization
  /** The only namespace the token opens; absent in group tokens, which open all that know their key. */
  readonly namespace?: string | undefined
  /** Namespaces the bearer may `ATTACH` for reading. */
  readonly readAttach?: readonly string[] | undefined
  /** Seconds since the epoch. sqld, like most JWT libraries, forgives up to 60 seconds. */
  readonly expiresAt?: number | undefined
}

/** Creates a key pair. */
export function createSigningKey(): SigningKey {
  const pair = generateKeyPairSync('ed25519')
  return {
    privateJwk: pair.privateKey.export({ format: 'jwk' }) as JWK,
    publicPem: pair.publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  }
}

/**
 * Mints a SQL token as sqld reads it: an EdDSA JWT with `a` (access) and `id` (namespace), or `p` (permissions).
 *
 * @param now Milliseconds since the epoch.
 * @see https://github.com/tursodatabase/libsql/blob/main/docs/ADMIN_API.md
 */
export async function mintSqlToken(key: SigningKey, grant: TokenGrant, now: number): Promise<string> {
  const access = grant.authorization === 'read-only' ? 'ro' : 'rw'
  const claims: JWTPayload = { a: access }
  if (grant.namespace !== undefined) claims.id = grant.namespace
  if (grant.readAttach !== undefined && grant.readAttach.length > 0) {
    claims.p = { [access]: { ns: [grant.namespace] }, roa: { ns: grant.readAttach } }
  }
  return await sign(key, claims, grant.expiresAt, now)
}

/** Signs any claims with a key of the emulator. */
export async function sign(
  key: SigningKey,
  claims: JWTPayload,
  expiresAt: number | undefined,
  now: number,
): Promise<string> {
  const jwt = new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
    .setIssuedAt(Math.floor(now / 1000))
  if (expiresAt !== undefined) jwt.setExpirationTime(expiresAt)
  return await jwt.sign(await importJWK(key.privateJwk, 'EdDSA'))
}

const unitSeconds = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 } as const

/**
 * Reads an `expiration` parameter such as `2w1d30m`: seconds, or `undefined` for `never` (the default).
 *
 * @throws ApiError 400 `Invalid expiration format`
 */
export function parseExpiration(value: string | undefined): number | undefined {
  if (value === undefined || value === '' || value === 'never') return undefined
  const match = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(value)
  const seconds = Object.values(unitSeconds).reduce(
    (sum, unit, index) => sum + unit * Number(match?.[index + 1] ?? 0),
    0,
  )
  if (match === null || seconds === 0) throw new ApiError(400, 'Invalid expiration format')
  return seconds
}

/** An hour: long past sqld's leeway. */
const expiredBySeconds = 3600

/**
 * When a token minted now ends, in seconds since the epoch; `undefined` for never.
 *
 * @param now Milliseconds since the epoch.
 * @param fault `expired`: the token ended an hour ago.
 */
export function computeExpiry(
  expiration: string | undefined,
  now: number,
  fault?: 'expired',
): number | undefined {
  const lifetime = parseExpiration(expiration)
  const seconds = Math.floor(now / 1000)
  if (fault === 'expired') return seconds - expiredBySeconds
  return lifetime === undefined ? undefined : seconds + lifetime
}

/**
 * Reads an `authorization` parameter.
 *
 * @throws ApiError 400 for anything but `full-access` (the default) and `read-only`
 */
export function parseAuthorization(value: string | undefined): Authorization {
  if (value === undefined || value === '' || value === 'full-access') return 'full-access'
  if (value === 'read-only') return 'read-only'
  throw new ApiError(400, 'Invalid authorization')
}
