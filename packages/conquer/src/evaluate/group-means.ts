/** Means over the queries of a group. */
export interface GroupMeans {
  group: string;
  /** How many of its queries count. */
  queries: number;
  means: Record<string, number>;
}

/**
 * A table of metrics by group: by class, or by category.
 *
 * @param values of each query by name, see `onQuery` of `evaluateEmbeddings`; null: left out of all means
 * @param groupOf the group of each query
 * @returns in the order in which the groups first occur; without those of which no query counts
 */
export function groupMeans(
  values: readonly (Readonly<Record<string, number>> | null)[],
  groupOf: (query: number) => string,
): GroupMeans[] {
  const groups = new Map<string, GroupMeans>();
  for (const [query, own] of values.entries()) {
    if (own === null) continue;
    const name = groupOf(query);
    const group = groups.get(name) ?? { group: name, queries: 0, means: {} };
    groups.set(name, group);
    group.queries++;
    for (const [metric, value] of Object.entries(own))
      group.means[metric] = (group.means[metric] ?? 0) + value;
  }
  for (const { queries, means } of groups.values())
    for (const name of Object.keys(means)) means[name]! /= queries;
  return [...groups.values()];
}
