/**
 * For queries by position: where in the gallery the query's own image stands, which its search leaves out. A query that is
 * not in the gallery is not in it.
 */
export type OwnInGallery = ReadonlyMap<number, readonly number[]>;
