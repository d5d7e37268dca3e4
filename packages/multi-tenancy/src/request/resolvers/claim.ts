import type { Context } from 'hono'
import { configError, TenancyError } from '../../errors.ts'
import type { ClaimOptions } from '../../types/access-control.ts'
import { checkFunctions, checkOptions } from '../../util/options.ts'
import type { TenantResolver } from './resolver.ts'

/** A verified token, as far as tenancy goes. */
export interface TenantToken {
  /** The tenant it was issued for, unchecked against the grammar. */
  readonly tenant: string | undefined
}

/** The names of `ClaimOptions`. */
export const CLAIM_OPTIONS: readonly string[] = ['claims', 'tenantClaims', 'issuer']

/**
 * Reads the request's token by checked options: `undefined` when there is none, or another issuer's.
 *
 * @throws `config_invalid` while constructing; per request `tenant_ambiguous` for claims that disagree and
 * `invalid_tenant_id` for a claim that is not a string
 */
export function tokenReader(
  options: ClaimOptions,
  at: string,
): (c: Context) => Promise<TenantToken | undefined> {
  checkFunctions(options, at, ['claims'])
  const { claims = (c) => c.get('jwtPayload'), tenantClaims = ['tenant_id', 'org_id', 'organization_id'] } =
    options
  const { issuer } = options
  // Present but undefined is a missing environment variable, which must not switch the check off.
  if ('issuer' in options && (typeof issuer !== 'string' || issuer === '')) {
    throw configError(`${at}.issuer`, 'must be a string')
  }
  if (!Array.isArray(tenantClaims) || tenantClaims.length === 0 || !tenantClaims.every(isName)) {
    throw configError(`${at}.tenantClaims`, 'must be a list of claim names')
  }
  return async (c) => {
    const payload: unknown = await claims(c)
    if (typeof payload !== 'object' || payload === null) return undefined
    if (issuer !== undefined && own(payload, 'iss') !== issuer) return undefined
    return { tenant: readTenantClaim(payload, tenantClaims) }
  }
}

/**
 * The tenant a verified token was issued for. Verify the token earlier, for example with `hono/jwt`.
 *
 * @throws `config_invalid` while constructing; per request `tenant_ambiguous`, `invalid_tenant_id`
 *
 * @example
 * ```ts
 * app.use(jwt({ secret, alg: 'HS256' }))
 * app.use(createMultiTenancyMiddleware({ databaseIsolation, resolvers: [fromClaim({ issuer: 'https://id.example.com/' })] }))
 * ```
 */
export function fromClaim(options: ClaimOptions = {}): TenantResolver {
  checkOptions(options, 'fromClaim', CLAIM_OPTIONS)
  const readToken = tokenReader(options, 'fromClaim')
  return Object.assign(async (c: Context) => (await readToken(c))?.tenant, { verified: true })
}

function readTenantClaim(payload: object, names: readonly string[]): string | undefined {
  let tenant: string | undefined
  for (const name of names) {
    const value = own(payload, name)
    if (value === undefined) continue
    if (typeof value !== 'string') {
      throw new TenancyError('invalid_tenant_id', `The claim ${name} of this token is not a string`)
    }
    if (tenant !== undefined && tenant !== value) {
      throw new TenancyError('tenant_ambiguous', 'This token names more than one tenant')
    }
    tenant = value
  }
  return tenant
}

function own(payload: object, name: string): unknown {
  return Object.hasOwn(payload, name) ? (payload as Record<string, unknown>)[name] : undefined
}

function isName(name: unknown): boolean {
  return typeof name === 'string' && name !== ''
}
