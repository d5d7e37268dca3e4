import type { FaultEffect as Effect, FaultEngine as Engine, Target } from '../fault-engine.ts'
import type { Call } from './call.ts'
import type { TursoOperation } from './operations.ts'

/** Which requests a fault is about: operations, `platform` for every operation of the Platform API, or `data`. */
export type FaultTarget = Target<TursoOperation, 'platform'>

/** A fault of this emulator. */
export type FaultEffect = Effect<Call>

/** This emulator's faults. */
export type FaultEngine = Engine<Call, FaultTarget>
