/** Runs rivals by turns, so that heat and noise fall on all alike, and keeps each one's median. */
export async function byTurns(
  rivals: Readonly<Record<string, () => Promise<number>>>,
  rounds: number,
): Promise<Record<string, number>> {
  const samples: Record<string, number[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(rivals)) {
      const taken = samples[name] ?? []
      samples[name] = taken
      taken.push(await measure())
    }
  }
  return Object.fromEntries(Object.entries(samples).map(([name, taken]) => [name, median(taken)]))
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Of two of the medians. */
export function ratio(values: Record<string, number>, name: string, rival: string): number {
  return (values[name] ?? Number.NaN) / (values[rival] ?? Number.NaN)
}

/** The same two in microseconds. */
export function us(values: Record<string, number>, name: string, rival: string): string {
  return `${values[name]?.toFixed(0)} µs, ${rival} ${values[rival]?.toFixed(0)} µs`
}

/** One line: the ratio, what it is of, and the aim. */
export function report(what: string, ratio: number, aim: string, detail: string): void {
  console.log(`${what.padEnd(62)} ${ratio.toFixed(3).padStart(8)}   aim ${aim.padEnd(8)} ${detail}`)
}
