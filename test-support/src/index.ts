export {
  createFaultInjector,
  type FaultInjector,
  type FaultMode,
  interceptCalls,
  recordCalls,
} from './calls.ts'
export { createSimulatedClock, type SimulatedClock, type SimulatedClockOptions } from './clock.ts'
export { type CodedError, captureError, getOutcome } from './errors.ts'
export { createGate, type Gate, getPromiseState, runMacrotask } from './gate.ts'
export {
  findFreePort,
  type HttpServer,
  type RequestHandler,
  sendRawRequest,
  startHttpServer,
} from './http.ts'
export {
  isProcessRunning,
  type ProcessExit,
  type ProcessOptions,
  type RunningProcess,
  startNode,
  startProcess,
} from './process.ts'
export { neverAborted } from './signal.ts'
export { createTempFolder } from './temp-folder.ts'
