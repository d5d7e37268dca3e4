import { createPoints } from './pause-points.ts'
import { type CrashOperation, createActor, perform, type World } from './tenant-process.ts'

/** What a doomed process is to do: one tenant for each point, each standing still at its own. */
export interface Doom {
  readonly world: World
  readonly operation: CrashOperation
  readonly tenants: readonly { readonly id: string; readonly stopAt: number }[]
}

/** A line of its output: where a tenant stands still, or that its operation came to its end before. */
export interface DoomReport {
  readonly id: string
  readonly point?: string
  readonly done?: true
  readonly failed?: string
}

function report(line: DoomReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const { world, operation, tenants }: Doom = JSON.parse(process.env.TENANTRY_DOOM ?? '')
// Nobody here ends by itself; the parent kills it.
setInterval(() => {}, 1_000)
process.on('disconnect', () => process.exit(1))
await Promise.all(
  tenants.map(async ({ id, stopAt }) => {
    const points = createPoints(stopAt, (point) => report({ id, point }))
    const actor = await createActor(world, points.around, { newer: operation === 'migrate' })
    await perform(actor, operation, id).then(
      () => report({ id, done: true }),
      (error: unknown) => report({ id, failed: String(error) }),
    )
  }),
)
