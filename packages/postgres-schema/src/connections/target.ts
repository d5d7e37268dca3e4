import type { LeasePool } from '@tenantry/multi-tenancy/provider'
import type { Purpose, SchemaPlace } from '../locator.ts'
import type { Connection } from './connection.ts'

/** Whom a connection is for. */
export interface Target {
  readonly kind: 'admin' | 'tenant'
  /** Identifies the target among all others. */
  readonly key: string
  readonly place?: SchemaPlace
  readonly purpose?: Purpose
  /** Run on each new connection that is one tenant's own. */
  readonly verify?: (connection: Connection) => Promise<void>
}

export type ConnectionPool = LeasePool<Connection, Target>
