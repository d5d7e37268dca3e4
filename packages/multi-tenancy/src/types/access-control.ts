import type { Context } from 'hono'
import type { TenantId } from '../tenant-id.ts'

/** Where the verified token is and what it calls the tenant. */
export interface ClaimOptions {
  /**
   * The payload of the request's *verified* token, or nothing without one. It is believed as it is.
   * @default `c.get('jwtPayload')`, where `hono/jwt` and `hono/jwk` put what they verified
   */
  readonly claims?: (c: Context) => ClaimsResult | Promise<ClaimsResult>
  /** Claims that name the tenant. Those present must agree. @default ['tenant_id', 'org_id', 'organization_id'] */
  readonly tenantClaims?: readonly string[]
  /** The only `iss` to accept: another issuer's token counts as none. @default any */
  readonly issuer?: string
}

export interface AccessControlOptions extends ClaimOptions {
  /**
   * Decides alone, in place of the built-in rule; only `true` lets the request in. What it throws refuses
   * the request too: a `TenancyError` as it is, anything else as `internal`.
   */
  readonly authorize?: (c: Context, tenantId: TenantId) => boolean | Promise<boolean>
  /** The tenant whose verified tokens reach every tenant. @default none */
  readonly controlPlaneTenantId?: string
  /** Another name of `controlPlaneTenantId`. */
  readonly mainTenantId?: string
  /**
   * Who may manage tenants through `multiTenancy.app`; only `true` lets the request in.
   * @default a verified token of the control-plane tenant
   */
  readonly authorizeControlPlane?: (c: Context) => boolean | Promise<boolean>
}

/** What `ClaimOptions.claims` answers. */
export type ClaimsResult = Readonly<Record<string, unknown>> | null | undefined
