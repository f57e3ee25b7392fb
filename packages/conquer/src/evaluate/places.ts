import type { OwnInGallery } from '../own-in-gallery.js';

/** Positions in a gallery for each query: those of query i stand from starts[i] to starts[i + 1]. */
export interface Places {
  starts: Int32Array;
  places: Int32Array;
}

/** @param of called for each query in order */
export function placesOf(count: number, of: (query: number) => readonly number[]): Places {
  const starts = new Int32Array(count + 1);
  const places: number[] = [];
  for (let query = 0; query < count; query++) {
    for (const place of of(query)) places.push(place);
    starts[query + 1] = places.length;
  }
  return { starts, places: Int32Array.from(places) };
}

/** What `countRelevant` counts: where in the gallery each query's class has other images than itself. */
export function targetsOf(
  queryLabels: Int32Array,
  galleryLabels: Int32Array | null,
  own: OwnInGallery = new Map(),
): Places {
  const members = new Map<number, number[]>();
  for (const [place, label] of (galleryLabels ?? queryLabels).entries()) {
    const known = members.get(label);
    if (known) known.push(place);
    else members.set(label, [place]);
  }
  return placesOf(queryLabels.length, (query) => {
    const left = galleryLabels ? (own.get(query) ?? []) : [query];
    const ofClass = members.get(queryLabels[query]!) ?? [];
    return left.length === 0 ? ofClass : ofClass.filter((place) => !left.includes(place));
  });
}

/** The most that one query has. */
export function mostPlaces(of: Places | null): number {
  let most = 0;
  for (let query = 1; query < (of?.starts.length ?? 0); query++)
    most = Math.max(most, of!.starts[query]! - of!.starts[query - 1]!);
  return most;
}
