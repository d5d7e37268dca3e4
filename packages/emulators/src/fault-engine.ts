import type { Reply } from './http.ts'

/** The end of a call: an answer, or a connection that is cut without one. */
export type Outcome = Reply | 'cut'

/** The part of a request that an engine reads. */
export interface EngineCall {
  readonly record: {
    readonly plane: string
    readonly operation: string | undefined
    readonly database: string | undefined
    readonly faults: string[]
  }
  readonly body: Uint8Array
}

/** Which requests a fault is about, and how many of them it meets. */
export interface Target<Operation extends string, Plane extends string> {
  /** One operation, several, or a whole plane. */
  readonly operation: Operation | Plane | readonly Operation[]
  /** Only requests about this database (its name); every database by default. */
  readonly database?: string | undefined
  /** Only requests whose body matches, for example a SQL text on the data plane. */
  readonly body?: RegExp | undefined
  /** How many requests the fault meets before it is over. @default 1 */
  readonly times?: number | undefined
}

/** A fault that is switched on. */
export interface Fault {
  /** How many requests it has met. */
  readonly hits: number
  /** Resolves once `count` requests have met it: a test waits for this instead of sleeping. @default count 1 */
  met(count?: number): Promise<void>
  /** Switches it off. Requests it holds go on. */
  remove(): void
}

/** A fault's effect at the one moment it acts. Any fault may observe. */
export interface FaultEffect<Call extends EngineCall> {
  /** Named in the request log. */
  readonly name: string
  /** Runs before the request is carried out, and may wait. */
  before?(call: Call): Promise<void> | void
  /** Answers in place of carrying it out; `undefined` lets the request pass, and does not count as met. */
  instead?(call: Call): Outcome | undefined
  /** Runs after the request was carried out successfully, and may wait. */
  after?(call: Call): Promise<void> | void
  /** Changes the answer of a request that was carried out successfully. */
  reply?(call: Call, reply: Reply): Outcome
  /** Headers for every answer to a matching request that was carried out, which does not count as met. */
  headers?(call: Call): Readonly<Record<string, string>>
  /** Sees every request that was carried out, matching or not. */
  observe?(call: Call, reply: Reply): void
  /** Runs when the fault is switched off. */
  dispose?(): void
}

/** The faults that are switched on, in the order they were. */
export interface FaultEngine<Call extends EngineCall, FaultTarget extends Target<string, string>> {
  add(target: FaultTarget, effect: FaultEffect<Call>): Fault
  /** Carries a call out through every fault that meets it. */
  run(call: Call, handler: (call: Call) => Promise<Reply>): Promise<Outcome>
  /** Switches every fault off. */
  clear(): void
}

interface Rule<Call extends EngineCall> {
  readonly effect: FaultEffect<Call>
  matches(call: Call): boolean
  meet(call: Call): void
  remove(): void
}

/** Creates an engine without faults. */
export function createFaultEngine<
  Call extends EngineCall,
  FaultTarget extends Target<string, string>,
>(): FaultEngine<Call, FaultTarget> {
  const rules = new Set<Rule<Call>>()

  /** The rules that act on a call at a moment, counted immediately so that a concurrent call finds them used. */
  const take = (call: Call, moment: 'before' | 'after' | 'reply'): FaultEffect<Call>[] => {
    const taken = [...rules].filter((rule) => rule.effect[moment] !== undefined && rule.matches(call))
    for (const rule of taken) rule.meet(call)
    return taken.map(({ effect }) => effect)
  }

  const run: FaultEngine<Call, FaultTarget>['run'] = async (call, handler) => {
    for (const effect of take(call, 'before')) await effect.before?.(call)
    for (const rule of rules) {
      const outcome = rule.matches(call) ? rule.effect.instead?.(call) : undefined
      if (outcome === undefined) continue
      rule.meet(call)
      return outcome
    }
    let reply = await handler(call)
    for (const { effect, matches } of rules) {
      effect.observe?.(call, reply)
      if (effect.headers === undefined || !matches(call)) continue
      reply = { ...reply, headers: { ...reply.headers, ...effect.headers(call) } }
    }
    // A refused request was not carried out, so there is no answer to hide.
    if (reply.status >= 300) return reply
    for (const effect of take(call, 'after')) await effect.after?.(call)
    for (const effect of take(call, 'reply')) {
      const outcome = effect.reply?.(call, reply) ?? reply
      if (outcome === 'cut') return outcome
      reply = outcome
    }
    return reply
  }

  const add: FaultEngine<Call, FaultTarget>['add'] = (target, effect) => {
    let remaining = target.times ?? 1
    let hits = 0
    let waiting: { count: number; resolve: () => void }[] = []
    const rule: Rule<Call> = {
      effect,
      matches: (call) => remaining > 0 && isAbout(target, call),
      meet: (call) => {
        remaining -= 1
        hits += 1
        call.record.faults.push(effect.name)
        for (const { count, resolve } of waiting) if (hits >= count) resolve()
        waiting = waiting.filter(({ count }) => hits < count)
      },
      remove: () => {
        remaining = 0
        rules.delete(rule)
        effect.dispose?.()
      },
    }
    rules.add(rule)
    return {
      get hits() {
        return hits
      },
      met: (count = 1) =>
        new Promise((resolve) => {
          if (hits >= count) resolve()
          else waiting.push({ count, resolve })
        }),
      remove: rule.remove,
    }
  }

  return {
    add,
    run,
    clear: () => {
      for (const rule of rules) rule.remove()
    },
  }
}

function isAbout(target: Target<string, string>, { record, body }: EngineCall): boolean {
  const { operation, database, body: pattern } = target
  if (record.operation === undefined) return false
  const named =
    operation === record.plane ||
    (typeof operation === 'string' ? [operation] : operation).includes(record.operation)
  if (!named || (database !== undefined && database !== record.database)) return false
  return pattern === undefined || pattern.test(Buffer.from(body).toString())
}
