import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  type ImageIndexContents,
  type IndexItem,
  type IndexMetric,
  indexItem,
  isSeenAlike,
  type Json,
  type NewIndexItem,
  UserError,
  whatWouldBeLost,
} from '@conquer-dml/run';
import { cat, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { PreparedGallery } from '../neighbours/prepared-gallery.js';
import { unitRows } from '../neighbours/unit-rows.js';
import { type RowData, rowsFrom } from '../row-data.js';
import type { Embedder } from './embedder.js';
import { readIndex, writeIndex } from './index-file.js';

/** An item that was found. */
export interface Match {
  id: string;
  /** Of its image: absolute. null where it is of no file in the index's folder. */
  path: string | null;
  label: string | null;
  payload: Json;
  /** Between embeddings of length 1 by Euclid: 0 for the same, 2 for opposite ones. By cosine 1 less the cosine. */
  distance: number;
}

export interface OpenIndexOptions {
  /** Where the folder of images is now; by default where it was, or where it lies as seen from the file. */
  folder?: string | undefined;
}

export interface IndexOfOptions {
  /** Default 'euclidean'. By 'cosine' rows and queries are brought to length 1. */
  metric?: IndexMetric | undefined;
}

/**
 * Rows with what they are of (a folder's images, or items of one's own), searched exactly. The first search prepares the
 * rows, see `PreparedGallery` for the memory of it; the first one after rows were added or removed does so again.
 */
export class ImageIndex {
  #contents: ImageIndexContents;
  #embeddings: Tensor;
  #places: Map<string, number>;
  #prepared: PreparedGallery | null = null;

  /**
   * @param embeddings float32 (N, D) on the CPU, in the order of the items; they belong to the index
   * @throws RangeError where they are not as many as the items, or an id is there twice
   */
  constructor(contents: ImageIndexContents, embeddings: Tensor) {
    const { length } = contents.items;
    if (embeddings.ndim !== 2 || embeddings.size(0) !== length)
      throw new RangeError(`ImageIndex: expected (${length}, D) embeddings, got [${embeddings.shape}]`);
    this.#contents = contents;
    this.#embeddings = embeddings;
    this.#places = placesOf(contents.items);
  }

  /**
   * An index of rows that were made elsewhere, by whatever model.
   *
   * @param rows N of D finite numbers, see `RowData`; they are copied
   * @param items N of them, in the order of the rows, each with an id of its own
   * @throws RangeError where rows and items do not fit, an id is there twice, or a row has no distances
   */
  static of(
    rows: RowData,
    items: readonly NewIndexItem[],
    { metric = 'euclidean' }: IndexOfOptions = {},
  ): ImageIndex {
    if (metric !== 'euclidean' && metric !== 'cosine')
      throw new RangeError(`ImageIndex.of: expected the metric euclidean or cosine, got ${metric}`);
    const whole = items.map(indexItem);
    const own = scope(() => ownRows(rowsFrom('ImageIndex.of', rows, { count: items.length }), whole, metric));
    try {
      return new ImageIndex({ items: whole, metric, origin: null }, own);
    } catch (error) {
      own.dispose();
      throw error;
    }
  }

  /**
   * Reads an index that `save` wrote; it belongs to the caller, who disposes it. Its folder and its run are found where they
   * were, or where they lie as seen from the file, if all were moved together.
   *
   * @throws UserError when the file is missing, damaged, or no index, or the folder that is given is another one
   */
  static open(file: string, { folder }: OpenIndexOptions = {}): ImageIndex {
    const { contents, embeddings } = readIndex(file, folder);
    try {
      return new ImageIndex(contents, embeddings);
    } catch (error) {
      embeddings.dispose();
      throw new UserError(`${file}: ${(error as Error).message}; index the folder again`);
    }
  }

  get contents(): ImageIndexContents {
    return this.#contents;
  }

  /** float32 (N, D) on the CPU, in the order of the items. Adding and removing makes others. */
  get embeddings(): Tensor {
    return this.#embeddings;
  }

  /** N. */
  get count(): number {
    return this.#contents.items.length;
  }

  /** The item of this id. */
  item(id: string): IndexItem | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#contents.items[place];
  }

  /** (1, D), a copy of the row of this id, to find what is near it; the caller disposes it. */
  row(id: string): Tensor | undefined {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    return scope(() => this.#embeddings.narrow(0, place, 1).clone().keep());
  }

  /**
   * Adds rows with items of one's own, behind those that are there.
   *
   * @param rows B of D finite numbers, see `RowData`, made by the model that made the others; they are copied
   * @throws RangeError where rows and items do not fit each other or the index, an id is there already, or a row has no
   *   distances; nothing is added then
   */
  add(rows: RowData, items: readonly NewIndexItem[]): void {
    const whole = items.map(indexItem);
    const all = [...this.#contents.items, ...whole];
    const places = placesOf(all);
    const width = this.#embeddings.size(1);
    using own = scope(() => {
      const added = rowsFrom('ImageIndex.add', rows, { dim: width });
      if (added.ndim !== 2 || added.size(1) !== width)
        throw new RangeError(`ImageIndex.add: expected (B, ${width}) rows, got [${added.shape}]`);
      return ownRows(added, whole, this.#contents.metric);
    });
    this.#replace(all, places, cat([this.#embeddings, own]));
  }

  /**
   * Removes items and their rows; ids that are not there are passed over. An image of the folder comes back when the folder
   * is indexed again.
   * @returns how many were removed
   */
  remove(ids: Iterable<string>): number {
    const gone = new Set([...ids].flatMap((id) => this.#places.get(id) ?? []));
    if (gone.size === 0) return 0;
    const kept = [...this.#contents.items.keys()].filter((place) => !gone.has(place));
    const items = kept.map((place) => this.#contents.items[place]!);
    using order = tensor(Int32Array.from(kept), { dtype: 'int64' });
    this.#replace(items, placesOf(items), this.#embeddings.indexSelect(0, order));
    return gone.size;
  }

  #replace(items: readonly IndexItem[], places: Map<string, number>, embeddings: Tensor): void {
    this.dispose();
    this.#contents = { ...this.#contents, items };
    this.#places = places;
    this.#embeddings = embeddings.keep();
  }

  /**
   * Sees to it that rows of an embedder are of use here.
   * @throws UserError where they would be compared with others: of other weights, or of images seen otherwise
   */
  requireEmbedder({ id, view, source }: Pick<Embedder, 'id' | 'view' | 'source'>): void {
    const { origin } = this.#contents;
    const name = source ?? `the embedder ${id}`;
    if (origin === null)
      throw new UserError(
        `the index is of rows that no embedder made: those of ${name} cannot be compared with them`,
      );
    if (id !== origin.embedder)
      throw new UserError(
        `the index was made with other weights than ${name} has now (it was trained on, or is another one): index the folder again`,
      );
    if (!isSeenAlike(origin.preprocessing, view))
      throw new UserError(
        `the index was made of images as ${name} does not see them (its settings changed, or an earlier version made it): index the folder again`,
      );
  }

  /**
   * Writes one safetensors file, whole or not at all: docs/search.md says what is in it.
   *
   * @throws UserError where the file holds something else: an index of another folder or model, or no index
   * @throws SerializationError when it cannot be written
   */
  save(file: string): void {
    if (existsSync(file)) {
      using there = ImageIndex.open(file);
      const lost = whatWouldBeLost(there.contents, this.#contents.origin, dirname(resolve(file)));
      if (lost !== null) throw new UserError(`${file} is ${lost}: it is not written over, give another file`);
    }
    writeIndex(file, { contents: this.#contents, embeddings: this.#embeddings });
  }

  /**
   * The exact nearest items of each query; of equally near ones those that were added first.
   *
   * @param queries Q rows of D numbers, see `RowData`, embedded by what embedded the rows of this index; a tensor on the CPU
   * @param embedder that embedded them, to be sure of it
   * @returns for each query k matches, nearest first; fewer where the index has fewer items
   * @throws RangeError unless k is a positive integer, or for another D; UserError where the embedder is another one
   */
  search(queries: RowData, k: number, embedder?: Pick<Embedder, 'id' | 'view' | 'source'>): Match[][] {
    if (embedder) this.requireEmbedder(embedder);
    const { items, metric, origin } = this.#contents;
    this.#prepared ??= new PreparedGallery(this.#embeddings);
    const prepared = this.#prepared;
    const cosine = metric === 'cosine';
    const { count, ...found } = scope(() =>
      noGrad(() => {
        const rows = rowsFrom('ImageIndex.search', queries, { dim: this.#embeddings.size(1) });
        if (rows.ndim !== 2)
          throw new RangeError(`ImageIndex.search: expected (Q, D) queries, got [${rows.shape}]`);
        const measured = cosine ? unitRows('an index', rows, (row) => `the row of query ${row + 1}`) : rows;
        return { ...prepared.nearest(measured, k), count: rows.size(0) };
      }),
    );
    return Array.from({ length: count }, (_, query) =>
      Array.from({ length: found.k }, (__, rank) => {
        const at = query * found.k + rank;
        const { id, label, payload, path } = items[found.indices[at]!]!;
        const distance = found.distances[at]!;
        return {
          id,
          path: path === null || origin === null ? null : join(origin.folder, path),
          label,
          payload,
          distance: cosine ? distance ** 2 / 2 : distance,
        };
      }),
    );
  }

  /** Frees the embeddings, and what was prepared of them. */
  dispose(): void {
    this.#prepared?.dispose();
    this.#prepared = null;
    this.#embeddings.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function placesOf(items: readonly IndexItem[]): Map<string, number> {
  const places = new Map<string, number>();
  for (const [place, { id }] of items.entries()) {
    if (places.has(id)) throw new RangeError(`an index holds each item once, but ${id} is there twice`);
    places.set(id, place);
  }
  return places;
}

/** A copy as the index holds it; it belongs to the caller. */
function ownRows(rows: Tensor, items: readonly IndexItem[], metric: IndexMetric): Tensor {
  if (rows.ndim !== 2 || rows.size(0) !== items.length)
    throw new RangeError(`an index: expected (${items.length}, D) rows, got [${rows.shape}]`);
  const nameOf = (row: number) => items[row]!.id;
  return scope(() =>
    noGrad(() => {
      const own = rows.detach().to('cpu').to({ dtype: 'float32' });
      const bad = own
        .isfinite()
        .logicalNot()
        .sum(1)
        .toNumbers()
        .findIndex((count) => count > 0);
      if (bad >= 0)
        throw new RangeError(`an index: the row of ${nameOf(bad)} is not of finite float32 numbers`);
      return (
        metric === 'cosine' ? unitRows('an index', own, (row) => `the row of ${nameOf(row)}`) : own.clone()
      ).keep();
    }),
  );
}
