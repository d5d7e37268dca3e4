import type { Client } from '@libsql/client/web'
import { startTursoEmulator, type TursoEmulator, type TursoEmulatorOptions } from '@tenantry/emulators'
import {
  type CallOptions,
  type Environment,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import { createTursoProvider, type TursoProviderOptions } from '../src/index.ts'

/** A call nobody gives up. */
export const call: CallOptions = { signal: new AbortController().signal }

/** What connects without a stamp. */
export const verify = async (): Promise<void> => {}

/** A clock that moves only when told, or when somebody sleeps. */
export function createClock(): Pick<Environment, 'now' | 'sleep' | 'random'> & { advance(ms: number): void } {
  let now = Date.now()
  return {
    now: () => now,
    advance(ms) {
      now += ms
    },
    async sleep(ms) {
      now += ms
      await new Promise((resolve) => setImmediate(resolve))
    },
    random: () => 0.5,
  }
}

/** An emulated account with providers on a clock of the test's. */
export interface Account {
  readonly turso: TursoEmulator
  readonly clock: ReturnType<typeof createClock>
  provider(options?: Partial<TursoProviderOptions>): TenantProvider<Client>
  /** A database that is there, and a client of it. */
  open(name: string, provider?: TenantProvider<Client>): Promise<Client>
  /** Reaches the emulator, unless `answer` has an answer of the test's own. */
  readonly fetch: Fetch
  /** Answers the next request of an operation (`times` of them) with any body, which the emulator's faults cannot. */
  answer(operation: Answered, status: number, body: unknown, times?: number): void
  /** Ends all faults and answers. */
  reset(): void
  /** Requests of one operation since the emulator started. */
  count(operation: string, database?: string): number
}

type Fetch = TursoEmulator['fetch']
type Answered =
  | 'databases.create'
  | 'databases.list'
  | 'databases.retrieve'
  | 'databases.delete'
  | 'tokens.create'

const OPERATIONS: Readonly<Record<Answered, RegExp>> = {
  'databases.create': /^POST .*\/databases$/,
  'databases.list': /^GET .*\/databases$/,
  'databases.retrieve': /^GET .*\/databases\/[^/]+$/,
  'databases.delete': /^DELETE .*\/databases\/[^/]+$/,
  'tokens.create': /^POST .*\/auth\/tokens$/,
}

export async function startAccount(options: TursoEmulatorOptions = {}): Promise<Account> {
  const clock = createClock()
  const turso = await startTursoEmulator({ now: clock.now, ...options })
  const { organization: organizationName, apiToken } = turso
  const answers: { pattern: RegExp; left: number; respond: () => Response }[] = []
  const fetch: Fetch = async (input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    const request = `${init?.method ?? 'GET'} ${pathname}`
    const answer = answers.find(({ pattern, left }) => left > 0 && pattern.test(request))
    if (answer === undefined) return turso.fetch(input, init)
    answer.left--
    return answer.respond()
  }
  const shared = createTursoProvider({ organizationName, apiToken, fetch, environment: clock })
  return {
    turso,
    clock,
    fetch,
    answer(operation, status, body, times = 1) {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      answers.push({
        pattern: OPERATIONS[operation],
        left: times,
        respond: () => new Response(text, { status }),
      })
    },
    reset() {
      answers.length = 0
      turso.faults.clear()
    },
    provider: (own = {}) =>
      createTursoProvider({ organizationName, apiToken, fetch, environment: clock, ...own }),
    async open(name, provider = shared) {
      const { locator } = await provider.create(name, call)
      return provider.connect({ locator, purpose: 'manage', verify }, call)
    },
    count: (operation, database) =>
      turso.requests.filter(
        (request) =>
          request.operation === operation && (database === undefined || request.database === database),
      ).length,
  }
}

/** What `work` throws, which must be one of our errors. */
export async function failure(work: Promise<unknown>): Promise<TenancyError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
  if (outcome instanceof TenancyError) return outcome
  throw new Error('It should have thrown a TenancyError', { cause: outcome })
}
