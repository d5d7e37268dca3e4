/** One number of each of `count` stretches of those from 0 to below `total`, always the same for a seed. */
export function sampleOf(total: number, count: number, seed: string): number[] {
  const stretch = Math.max(1, total / count)
  const random = randomOf(seed)
  return Array.from({ length: Math.min(count, total) }, (_, index) =>
    Math.floor((index + random()) * stretch),
  )
}

/** Numbers from 0 to below 1, always the same for a seed (mulberry32 over FNV-1a). */
function randomOf(seed: string): () => number {
  let state = 0x811c9dc5
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
