type Method = (...args: any[]) => Promise<unknown>

/** The names of an object's asynchronous methods. */
type MethodName<Target> = {
  [Name in keyof Target]-?: NonNullable<Target[Name]> extends Method ? Name & string : never
}[keyof Target]

/** A call that an interceptor sees. */
export interface InterceptedCall<Name extends string = string> {
  readonly name: Name
  readonly args: readonly unknown[]
}

/**
 * Returns a copy of an object in which the named asynchronous methods pass through `around`, which decides when and
 * whether `run` sends the call.
 */
export function interceptCalls<Target extends object, Name extends MethodName<Target>>(
  target: Target,
  names: readonly Name[],
  around: (call: InterceptedCall<Name>, run: () => Promise<any>) => Promise<unknown>,
): Target {
  const copy = { ...target }
  for (const name of names) {
    const method = target[name] as Method | undefined
    if (method === undefined) continue
    Object.assign(copy, {
      [name]: (...args: unknown[]) => around({ name, args }, () => method.apply(target, args)),
    })
  }
  return copy
}

/** The calls so far. */
export interface CallLog<Name extends string = string> {
  readonly calls: InterceptedCall<Name>[]
  count(name: Name): number
  clear(): void
}

/** Records the calls of an object's named methods. */
export function recordCalls<Target extends object, Name extends MethodName<Target>>(
  target: Target,
  names: readonly Name[],
): CallLog<Name> & { readonly target: Target } {
  const calls: InterceptedCall<Name>[] = []
  return {
    calls,
    count: (name) => calls.filter((call) => call.name === name).length,
    clear() {
      calls.length = 0
    },
    target: interceptCalls(target, names, (call, run) => {
      calls.push(call)
      return run()
    }),
  }
}

/**
 * How a call fails: `before` it runs; `after` it has run, so that only its reply is lost; or `outage`, which fails
 * this and every later call before they run.
 */
export type FaultMode = 'before' | 'after' | 'outage'

/** Fails one call of many, chosen by its number. */
export interface FaultInjector {
  /** Every call to be counted passes through this function. */
  readonly around: <Value>(run: () => Promise<Value>) => Promise<Value>
  /** The number of calls since the injector was armed, disarmed or created. */
  count(): number
  /** Counts from zero again and fails the call with this index. */
  arm(index: number, mode: FaultMode): void
  /** Counts from zero again and fails no call. */
  disarm(): void
}

/**
 * Creates an injector that is not armed.
 *
 * @param createError the error of a failed call, as the driver would throw it
 */
export function createFaultInjector(createError: () => Error = createConnectionReset): FaultInjector {
  let count = 0
  let fault: { readonly index: number; readonly mode: FaultMode } | undefined
  return {
    async around(run) {
      const index = count++
      // The fault of the moment in which the call began, even when the test changes it meanwhile.
      const current = fault
      if (current === undefined) return run()
      const { mode } = current
      if (mode === 'outage' ? index >= current.index : mode === 'before' && index === current.index)
        throw createError()
      const value = await run()
      if (mode === 'after' && index === current.index) throw createError()
      return value
    },
    count: () => count,
    arm(index, mode) {
      count = 0
      fault = { index, mode }
    },
    disarm() {
      count = 0
      fault = undefined
    },
  }
}

function createConnectionReset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
}
