/** Runs `work` for every item, for at most `limit` items concurrently. */
export async function runConcurrently<Item>(
  items: Iterable<Item>,
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const remaining = [...items]
  const runNext = async (): Promise<void> => {
    for (let item = remaining.shift(); item !== undefined; item = remaining.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: limit }, runNext))
}
