/** The k's of Recall@k that most of the literature reports. */
export const usualRecallAt: readonly number[] = [1, 2, 4, 8];
