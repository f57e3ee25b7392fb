import { decodeImages } from '@conquer-dml/image';
import type { TestedImages } from '../data/tested-images.js';
import type { EventImage } from './event-file.js';
import { encodePng } from './png.js';

const SIDE = 96;
const BORDER = 4;
const NEIGHBOURS = 8;
/** Queries shown of each kind. */
const QUERIES = 8;

const GREEN = [46, 160, 67] as const;
const RED = [218, 54, 51] as const;
const WHITE = [255, 255, 255] as const;

/**
 * Pictures of what a run's best epoch retrieves: a query at the left, its nearest images beside it in their order, framed
 * green where they are of its class and red where not. The worst queries (most wrong neighbours), and some spread over
 * the test set.
 *
 * @throws ImageError for an image that cannot be read any more
 */
export async function retrievalStrips(
  embeddings: TestedImages,
): Promise<{ tag: string; image: EventImage }[]> {
  const { neighbours, depth: k, queries, gallery } = embeddings;
  if (k === 0) return [];
  const among = gallery ?? queries;
  const count = Math.min(NEIGHBOURS, k);
  const nearest = (query: number) =>
    Array.from({ length: count }, (_, i) => Number(neighbours[query * k + i]));
  const right = (query: number, neighbour: number) => among.labels[neighbour] === queries.labels[query];
  const wrong = (query: number) => nearest(query).filter((neighbour) => !right(query, neighbour)).length;

  const all = [...queries.paths.keys()];
  const counts = all.map(wrong);
  const worst = all.toSorted((a, b) => counts[b]! - counts[a]!).slice(0, QUERIES);
  const step = Math.max(1, Math.floor(all.length / QUERIES));
  const spread = all.filter((query) => query % step === 0).slice(0, QUERIES);

  const strip = async (query: number): Promise<EventImage> => {
    const paths = [queries.paths[query]!, ...nearest(query).map((neighbour) => among.paths[neighbour]!)];
    const frames = [WHITE, ...nearest(query).map((neighbour) => (right(query, neighbour) ? GREEN : RED))];
    return drawStrip(paths, frames);
  };
  const strips: { tag: string; image: EventImage }[] = [];
  for (const [kind, chosen] of Object.entries({ worst, spread }))
    for (const [i, query] of chosen.entries())
      strips.push({ tag: `retrieval ${kind}/${i + 1}`, image: await strip(query) });
  return strips;
}

/** Images side by side, each in a frame of its colour. */
async function drawStrip(
  paths: readonly string[],
  frames: readonly (readonly [number, number, number])[],
): Promise<EventImage> {
  const size = { width: SIDE, height: SIDE };
  const pixels = new Uint8Array(paths.length * SIDE * SIDE * 3);
  await decodeImages(
    paths.map((image) => ({ image, size, fit: 'cover' as const })),
    pixels,
  );
  const cell = SIDE + 2 * BORDER;
  const [width, height] = [cell * paths.length, cell];
  const strip = new Uint8Array(width * height * 3);
  for (const [place, colour] of frames.entries()) {
    for (let y = 0; y < cell; y++)
      for (let x = 0; x < cell; x++) strip.set(colour, (y * width + place * cell + x) * 3);
    for (let y = 0; y < SIDE; y++) {
      const row = pixels.subarray((place * SIDE + y) * SIDE * 3, (place * SIDE + y + 1) * SIDE * 3);
      strip.set(row, ((y + BORDER) * width + place * cell + BORDER) * 3);
    }
  }
  return { width, height, png: encodePng(strip, width, height) };
}
