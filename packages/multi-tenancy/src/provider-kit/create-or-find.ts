import { TenancyError } from '../errors.ts'
import { isOutcomeUnknown } from './http.ts'

export interface CreateOrFindOptions<Database> {
  readonly create: () => Promise<Database>
  readonly find: () => Promise<Database | undefined>
  /** Whether the service rejected `create` because the name is taken. */
  readonly isDuplicate: (error: unknown) => boolean
}

/**
 * Creates a database, or returns the one that has the name. When the name is taken, or the response of `create` was
 * lost, `find` decides before anything is sent again; the identity stamp then says which tenant a database belongs to.
 *
 * @throws what `create` threw; `provider_unavailable` for a name that is neither free nor found
 */
export async function createOrFind<Database>(
  options: CreateOrFindOptions<Database>,
): Promise<{ database: Database; created: boolean }> {
  const { create, find, isDuplicate } = options
  try {
    return { database: await create(), created: true }
  } catch (error) {
    const duplicate = isDuplicate(error)
    if (!duplicate && !isOutcomeUnknown(error)) throw error
    const database = await find()
    if (database !== undefined) return { database, created: false }
    if (!duplicate) throw error
    throw new TenancyError('provider_unavailable', 'The database name is taken, but no database has it yet', {
      retryAfter: 2,
      cause: error,
    })
  }
}
