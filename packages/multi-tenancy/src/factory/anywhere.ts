/**
 * For a provider with several servers: what the first to answer has, all asked at once, so that one that is down hides
 * nothing of the others. A name is on one of them only.
 *
 * @throws the first failure, where no other server has it: it may be there
 */
export async function firstMatch<Found>(
  answers: readonly Promise<Found | undefined>[],
): Promise<Found | undefined> {
  const nowhere = {}
  try {
    return await Promise.any(
      answers.map(async (answer) => {
        const found = await answer
        if (found === undefined) throw nowhere
        return found
      }),
    )
  } catch (cause) {
    const failures = (cause as AggregateError).errors.filter((error) => error !== nowhere)
    if (failures.length > 0) throw failures[0]
    return undefined
  }
}
