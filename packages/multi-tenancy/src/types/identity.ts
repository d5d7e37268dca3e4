import type { TenantId } from '../tenant-id.ts'

/** Whose database this is: the identity stamp, the one row of the table `tenantry_identity`. */
export interface Identity {
  readonly tenantId: TenantId
  /** Which incarnation of the tenant id, from 1. */
  readonly generation: number
  /** Random, created with the database: it distinguishes two databases of the same id and generation. */
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

/** The identity that a stamp must have. Without a catalog the uid is learnt from the first stamp that is read. */
export type ExpectedIdentity = Omit<Identity, 'uid'> & { readonly uid?: string | undefined }
