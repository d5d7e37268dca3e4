import { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity, Identity, Stamp, StampState } from '../types/identity.ts'
import type { Row, Statement, TenantProvider } from '../types/provider.ts'
import type { StampResult } from './context.ts'
import { assertOwner, isEmpty, readStamp, stampStatements, stampStateStatement } from './identity.ts'
import { buildInitialScript, type Migrations } from './migrations/index.ts'

type Query = (statement: Statement) => Promise<Row[]>

/** What may be run together with the stamp, in one batch, on a database that holds nothing. */
export interface InitialBatchOptions {
  /** The database was created just now, so there is no stamp to look for first. */
  readonly isNew: boolean
  readonly migrations: Migrations | undefined
  /** Only the migrations come before the tenant is ready, so the batch may mark it ready. */
  readonly marksReady: boolean
}

interface InitialBatch {
  readonly statements: readonly Statement[]
  readonly result: StampResult
}

/**
 * The stamp of this tenant, written where the database holds nothing yet. With transactional DDL, stamp and migrations
 * run in one batch; a batch that the database refuses changed nothing, and its parts are run one by one to name the
 * failing migration.
 *
 * @throws `name_taken` for tables without a stamp, `wrong_tenant`, `stale_tenant`, `conflict` for a database that is
 * being deleted
 */
export async function ensureStamp<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  expected: ExpectedIdentity,
  options: InitialBatchOptions,
): Promise<StampResult> {
  const { tenantId } = expected
  const { dialect, transactionalDdl } = provider.capabilities
  const identity = { ...expected, uid: expected.uid ?? crypto.randomUUID() }
  const batch =
    options.isNew && transactionalDdl
      ? await buildInitialBatch(provider, client, identity, options)
      : undefined
  if (batch === undefined) {
    const stamp = await findStamp(provider, client, tenantId)
    if (stamp !== undefined) return acceptStamp(stamp, expected)
  }
  // Two callers may both write, and a response may be lost: the row that is there afterwards is the stamp.
  const failure = await provider.batch(client, batch?.statements ?? stampStatements(dialect, identity)).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  if (batch !== undefined && failure === undefined) return batch.result
  const stamp = await readStamp(dialect, (statement) => provider.query(client, statement))
  if (stamp !== undefined) return acceptStamp(stamp, expected)
  if (batch !== undefined) {
    // Only a batch that the database refused is split; after an outage the caller retries the same batch.
    const { code, retryable } = provider.mapError(failure?.error)
    if (!retryable && code !== 'internal' && code !== 'closed')
      return ensureStamp(provider, client, identity, { ...options, isNew: false })
  }
  const message = 'The identity stamp was written but could not be read back'
  throw failure?.error ?? new TenancyError('provider_unavailable', message, { tenantId })
}

/** @throws `wrong_tenant`, `stale_tenant`, `conflict` */
function acceptStamp(stamp: Stamp, expected: ExpectedIdentity): StampResult {
  assertOwner(stamp, expected)
  if (stamp.state === 'deprovisioning') throw beingDeleted(expected.tenantId)
  return { uid: stamp.uid, isReady: stamp.state === 'ready', migrated: undefined }
}

async function buildInitialBatch<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  identity: Identity,
  { migrations, marksReady }: InitialBatchOptions,
): Promise<InitialBatch> {
  const { dialect } = provider.capabilities
  const script = migrations && (await buildInitialScript(provider, client, migrations))
  const isMigrated = script?.complete ?? true
  const isReady = marksReady && isMigrated
  const names = ((await migrations?.load()) ?? []).map(({ name }) => name)
  return {
    statements: [
      ...stampStatements(dialect, identity),
      ...(script?.statements ?? []),
      ...(isReady ? [stampStateStatement(dialect, identity.uid, 'ready')] : []),
    ],
    result: { uid: identity.uid, isReady, migrated: isMigrated ? names : undefined },
  }
}

/**
 * The stamp, or `undefined` for a database that holds nothing.
 *
 * @throws `name_taken` for tables without a stamp
 */
export async function findStamp<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  tenantId: TenantId,
): Promise<Stamp | undefined> {
  const { dialect } = provider.capabilities
  const query: Query = (statement) => provider.query(client, statement)
  const stamp = await readStamp(dialect, query)
  if (stamp !== undefined || (await isEmpty(dialect, query))) return stamp
  // A concurrent caller that filled the database between the two reads has stamped it first.
  const late = await readStamp(dialect, query)
  if (late !== undefined) return late
  throw new TenancyError('name_taken', 'A database of this name holds data without an identity stamp', {
    tenantId,
  })
}

/**
 * Changes the state of exactly this database's stamp; to `ready` only unless a deletion has begun.
 *
 * @throws `conflict` when the stamp does not have the state afterwards
 */
export async function setStampState<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  { tenantId, uid }: Pick<Identity, 'tenantId' | 'uid'>,
  state: StampState,
): Promise<void> {
  const { dialect } = provider.capabilities
  await provider.batch(client, [stampStateStatement(dialect, uid, state)])
  const stamp = await readStamp(dialect, (statement) => provider.query(client, statement))
  if (stamp?.uid !== uid || stamp.state !== state) throw beingDeleted(tenantId)
}

function beingDeleted(tenantId: TenantId): TenancyError {
  return new TenancyError('conflict', 'The tenant is being deleted', { tenantId })
}
