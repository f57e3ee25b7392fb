import type { OwnInGallery } from '../own-in-gallery.js';

/** Images, who is on them, and which camera took them. */
export interface Seen {
  /** (N,) */
  labels: Int32Array;
  /** (N,) */
  cameras: Int32Array;
}

/**
 * What re-identification leaves out of a query's search: the images of its own class that its own camera took, as to find these
 * again is no feat. (Market-1501's protocol; torchreid and fast-reid do the same.)
 */
export function seenByOwnCamera(queries: Seen, gallery: Seen): OwnInGallery {
  const key = ({ labels, cameras }: Seen, at: number) => `${labels[at]} ${cameras[at]}`;
  const places = new Map<string, number[]>();
  for (const at of gallery.labels.keys()) {
    const found = places.get(key(gallery, at));
    if (found) found.push(at);
    else places.set(key(gallery, at), [at]);
  }
  const own = new Map<number, readonly number[]>();
  for (const query of queries.labels.keys()) {
    const found = places.get(key(queries, query));
    if (found) own.set(query, found);
  }
  return own;
}
