import {
  type ConnectTarget,
  classifyConnectionError,
  createLeasePool,
  type Lease,
  type LeasePool,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import { toDriverIntMode } from '../libsql/int-mode.ts'
import type { BusyRetry } from './busy-retry.ts'
import { closeConnection, type FileConnection, type FileTarget, openConnection } from './connection.ts'
import type { DatabaseFiles } from './database-files.ts'
import type { DatabaseFile } from './database-paths.ts'
import type { LibsqlFileSettings } from './options.ts'

type DrainOptions = NonNullable<Parameters<LeasePool<FileConnection, FileTarget>['drain']>[1]>

/** The hooks of one client. */
type ClientHooks = {
  readonly [Name in 'beforeUse' | 'onDatabaseGone']: ConnectTarget[Name] | undefined
}

/** The connections to all files, leased for one use each. */
export interface FilePool {
  /** A connection to the file that is at the path now. A deleted file stays readable over connections that have it open. */
  lease(target: FileTarget, hooks: ClientHooks): Promise<Lease<FileConnection>>
  /** @throws `tenant_not_found` when the file is gone, `stale_tenant` when another file has its name */
  checkPresent(file: DatabaseFile, onDatabaseGone: ConnectTarget['onDatabaseGone']): Promise<void>
  /** Ends the connections to one file. */
  drain(file: DatabaseFile, options: DrainOptions): Promise<void>
  close(options: { readonly deadline: number }): Promise<void>
}

export interface FilePoolOptions
  extends Pick<
    LibsqlFileSettings,
    'maxConnections' | 'maxConnectionsPerTenant' | 'maxWaiting' | 'queueTimeout' | 'intMode'
  > {
  readonly files: DatabaseFiles
  readonly busyRetry: BusyRetry
}

export function createFilePool(options: FilePoolOptions): FilePool {
  const { files, busyRetry, maxConnections, maxConnectionsPerTenant, maxWaiting, queueTimeout } = options
  const intMode = toDriverIntMode(options.intMode)
  const pool = createLeasePool<FileConnection, FileTarget>({
    open: (target) => busyRetry.run(() => openConnection(files, target, intMode), busyRetry.deadline()),
    close: async (connection) => closeConnection(connection),
    clean: ({ tainted, client }) => !tainted && !client.closed,
    max: maxConnections,
    maxPerKey: maxConnectionsPerTenant,
    maxWaiting,
    queueTimeout,
  })

  /** Runs `read` on a file that should exist. */
  async function readPresent(
    file: DatabaseFile,
    read: (file: DatabaseFile) => string,
    onDatabaseGone: ConnectTarget['onDatabaseGone'],
  ): Promise<string> {
    try {
      return read(file)
    } catch (cause) {
      const isGone = cause instanceof TenancyError && cause.code === 'tenant_not_found'
      const successor = isGone ? await files.find(file.name) : undefined
      throw classifyConnectionError({ same: successor === undefined }, { cause, onDatabaseGone })
    }
  }

  return {
    async lease(target, { beforeUse, onDatabaseGone }) {
      const { file } = target
      for (;;) {
        await beforeUse?.()
        files.checkOpen(file)
        const fingerprint = await readPresent(file, files.fingerprint, onDatabaseGone)
        const leased = await pool.acquire(toKey(file), target)
        try {
          // The file may have been closed while this call waited in the queue.
          files.checkOpen(file)
        } catch (error) {
          leased.release()
          throw error
        }
        if (leased.connection.fingerprint === fingerprint) return leased
        leased.destroy()
      }
    },
    async checkPresent(file, onDatabaseGone) {
      await readPresent(file, files.path, onDatabaseGone)
    },
    drain: (file, drainOptions) => pool.drain(toKey(file), drainOptions),
    close: (closeOptions) => pool.close(closeOptions),
  }
}

function toKey({ name, id }: DatabaseFile): string {
  return `${name}/${id}`
}
