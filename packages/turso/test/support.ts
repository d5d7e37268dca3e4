import type { Client } from '@libsql/client/web'
import { startTursoEmulator, type TursoEmulator, type TursoEmulatorOptions } from '@tenantry/emulators'
import type { CallOptions, Environment, TenantProvider } from '@tenantry/multi-tenancy/provider'
import { createTursoProvider, type TursoProviderOptions } from '../src/index.ts'

/** The options of a call that is never aborted. */
export const call: CallOptions = { signal: new AbortController().signal }

/** A check of the identity stamp that always succeeds. */
export const verify = async (): Promise<void> => {}

/** A clock that moves only by `advance` and while code under test sleeps. */
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
  /** A client of the database, which is created when it does not exist. */
  open(name: string, provider?: TenantProvider<Client>): Promise<Client>
  /** Sends to the emulator, unless `answer` has a response for the request. */
  readonly fetch: Fetch
  /** Responds to the next `times` requests of an operation with any body, which the emulator's faults cannot. */
  answer(operation: Answered, status: number, body: unknown, times?: number): void
  /** Ends all faults and removes all responses of `answer`. */
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
