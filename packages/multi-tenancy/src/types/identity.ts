import type { TenantId } from '../tenant-id.ts'

/** Whose database this is: the identity stamp, the one row of the table `tenantry_identity`. */
export interface Identity {
  readonly tenantId: TenantId
  /** Which incarnation of the tenant id, from 1. */
  readonly generation: number
  /** Random, made with the database: it tells two databases of the same id and generation apart. */
  readonly uid: string
}

/** `provisioning` until every step of provision is done; `deprovisioning` from the first step of deprovision. */
export type StampState = 'provisioning' | 'ready' | 'deprovisioning'

/** The stamp as read from a database. */
export interface Stamp extends Identity {
  readonly state: StampState
  /** The migration that left the database half changed, if one did. Of one that is under way: none did. */
  readonly dirty: string | null
}

/** What the core knows of a tenant before it looks; without a catalog the uid is learnt from the first look. */
export type ExpectedIdentity = Omit<Identity, 'uid'> & { readonly uid?: string | undefined }
