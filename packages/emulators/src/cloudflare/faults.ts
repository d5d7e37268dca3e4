import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, FaultEngine, Target } from '../fault-engine.ts'
import { jsonReply, type Reply } from '../http.ts'
import { internalError } from './api-databases.ts'
import type { Call } from './call.ts'
import { failure } from './envelope.ts'
import { type CloudflareRateLimitOptions, createRateLimit } from './fault-rate-limit.ts'
import type { CloudflareOperation } from './operations.ts'

/**
 * Which requests a fault is about: operations such as `databases.create`, `api` for all of the REST API, `dispatch`
 * for requests to scripts, `files` for signed addresses.
 */
export type CloudflareFaultTarget = Target<CloudflareOperation, 'api'>

/** An error to answer with. */
export interface CloudflareErrorOptions {
  /** @default 500 */
  readonly status?: number | undefined
  /** The API's own code. @default 7500 */
  readonly code?: number | undefined
  /** @default what the service says with that code */
  readonly message?: string | undefined
}

/**
 * The faults of an emulator. Each method switches one on and returns it; several compose: a request waits through
 * every hold, then meets the first fault that answers for it, else is carried out, and its answer passes through the
 * rest. A fault about an answer acts only when the request succeeded.
 */
export interface CloudflareFaults {
  /** Carries the request out, then cuts the connection without an answer. */
  dropReply(target: CloudflareFaultTarget): Fault
  /** Cuts the connection and does not carry the request out. */
  dropRequest(target: CloudflareFaultTarget): Fault
  /** Answers an error and does not carry the request out. By default 500 with 7500, the service's internal error. */
  fail(target: CloudflareFaultTarget & CloudflareErrorOptions): Fault
  /** Carries the request out, then answers an error. */
  failAfterCommit(target: CloudflareFaultTarget & CloudflareErrorOptions): Fault
  /** Answers 504 with a page of HTML, as an edge does for an origin that is late. @default committed false */
  gatewayTimeout(target: CloudflareFaultTarget & { committed?: boolean | undefined }): Fault
  /** Limits all of the API, with `ratelimit` headers on every answer. */
  rateLimit(options?: CloudflareRateLimitOptions): Fault
  /** Holds matching requests until it is removed. @default at 'before' */
  hold(target: CloudflareFaultTarget & { at?: 'before' | 'after' | undefined }): Fault
  /** Delays matching requests, in milliseconds. */
  delay(target: CloudflareFaultTarget & { ms: number }): Fault
  /** Changes the JSON of successful answers. */
  alter(target: CloudflareFaultTarget & { alter: (body: any) => unknown }): Fault
  /** Switches every fault off; requests being held go on. */
  clear(): void
}

/** @param now The clock that windows are measured by, in milliseconds since the epoch. */
export function createFaults(
  engine: FaultEngine<Call, CloudflareFaultTarget>,
  now: () => number,
): CloudflareFaults {
  const gatewayPage: Reply = {
    ...{ status: 504, headers: { 'content-type': 'text/html; charset=UTF-8' } },
    body: Buffer.from(
      '<html><head><title>504 Gateway Time-out</title></head><body>error code: 504</body></html>\n',
    ),
  }
  return {
    dropReply: (target) => engine.add(target, { name: 'dropReply', reply: () => 'cut' }),
    dropRequest: (target) => engine.add(target, { name: 'dropRequest', instead: () => 'cut' }),
    fail: (target) => engine.add(target, { name: 'fail', instead: () => errorReply(target) }),
    failAfterCommit: (target) =>
      engine.add(target, { name: 'failAfterCommit', reply: () => errorReply(target) }),
    gatewayTimeout: ({ committed = false, ...target }) =>
      engine.add(target, { name: 'gatewayTimeout', [committed ? 'reply' : 'instead']: () => gatewayPage }),
    rateLimit: (options = {}) =>
      engine.add({ operation: 'api', times: Number.POSITIVE_INFINITY }, createRateLimit(options, now)),
    hold: (target) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      return engine.add(target, { name: 'hold', [target.at ?? 'before']: () => promise, dispose: resolve })
    },
    delay: (target) =>
      engine.add(target, {
        name: 'delay',
        before: async () => {
          await sleep(target.ms)
        },
      }),
    alter: (target) =>
      engine.add(target, {
        name: 'alter',
        reply: (_, reply) =>
          jsonReply(reply.status, target.alter(JSON.parse(Buffer.from(reply.body).toString()))),
      }),
    clear: engine.clear,
  }
}

const messages: Readonly<Record<number, string>> = {
  7403: 'The given account is not valid or is not authorized to access this service',
  10000: 'Authentication error',
}

function errorReply({ status = 500, code = 7500, message }: CloudflareErrorOptions): Reply {
  return failure(
    status,
    code,
    message ?? messages[code] ?? (code === 7500 ? internalError() : `emulated fault: ${code}`),
  )
}
