import { relative } from 'node:path';
import { ImageError, imageSizes } from '@conquer-dml/image';
import { type Calibration, type MatchThreshold, UserError } from '@conquer-dml/run';
import { matchProbability, thresholdFor, usualThreshold } from '../evaluate/calibrate.js';
import { type AnyIndex, openAnyIndex } from '../retrieve/any-index.js';
import { classify } from '../retrieve/classify.js';
import { explain } from '../retrieve/explain.js';
import type { Match } from '../retrieve/match.js';
import { calibrationOfModel } from '../retrieve/model-calibration.js';
import { searchLabelled } from '../retrieve/search-where.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import type {
  Answers,
  Job,
  SearchAnswer,
  ServedItem,
  ServedMatch,
  ServiceInfo,
  VerifyAnswer,
} from './jobs.js';
import type { ServeLimits } from './limits.js';
import { Problem } from './problem.js';
import { indexVersion } from './watch-index.js';

type Answer = Answers[Job['kind']];
type Of<Kind extends Job['kind']> = Extract<Job, { kind: Kind }>;

/** The index that is served, and where it is opened from and kept. */
export interface ServedIndex {
  path: string;
  /** Where its images are, if not where the index says. */
  folder?: string | undefined;
}

/**
 * Answers jobs with one model and, where there is one, its index. What is asked for at the same time goes through the network
 * together; what changes the index is on the disk before it is answered.
 */
export class ModelService {
  #index: AnyIndex | null = null;
  /** Which write of it is open. */
  #version: string | null = null;
  readonly #modelCalibration: Calibration | null;

  private constructor(
    private readonly model: TrainedModel,
    private readonly served: ServedIndex | null,
    private readonly limits: Pick<ServeLimits, 'pixels'>,
    private readonly onFault: (error: unknown) => void,
  ) {
    this.#modelCalibration = calibrationOfModel(model);
  }

  /**
   * @param onFault told of what is a fault of the program, for which a request is answered with 500
   * @throws UserError where the index cannot be opened, or is of another model
   */
  static async open(
    model: TrainedModel,
    served: ServedIndex | null,
    limits: Pick<ServeLimits, 'pixels'>,
    onFault: (error: unknown) => void,
  ): Promise<ModelService> {
    const service = new ModelService(model, served, limits, onFault);
    service.#index = served && (await service.opened(served));
    return service;
  }

  info(): ServiceInfo {
    const { model, served } = this;
    const calibration = this.calibration();
    return {
      model: model.source,
      dimensions: model.dim,
      index: served && { path: served.path, items: this.#index!.count },
      calibration: calibration && {
        source: calibration.source,
        rates: calibration.thresholds.map(({ rate }) => rate),
      },
    };
  }

  /**
   * @param jobs in the order in which they arrived, which is that of their effects
   * @returns what came of each: its answer, or why there is none
   */
  async answer(jobs: readonly Job[]): Promise<(Answer | Problem)[]> {
    const images = jobs.flatMap((job) => ('images' in job ? job.images : []));
    const done: (Answer | Problem)[] = [];
    let rows: (Float32Array | ImageError)[];
    try {
      rows = await this.embedded(images);
    } catch (error) {
      // One image's fault is not another's: alone, the network refuses only the one.
      if (jobs.length === 1) return [this.problemOf(error)];
      for (const job of jobs) done.push(...(await this.answer([job])));
      return done;
    }
    let from = 0;
    for (const job of jobs) {
      const count = 'images' in job ? job.images.length : 0;
      const own = rows.slice(from, from + count);
      from += count;
      try {
        done.push(await this.one(job, own.map(readable)));
      } catch (error) {
        done.push(this.problemOf(error));
      }
    }
    return done;
  }

  close(): void {
    void this.#index?.dispose();
    this.model.close();
  }

  /** A row for each image, or why it has none. */
  private async embedded(images: readonly Uint8Array[]): Promise<(Float32Array | ImageError)[]> {
    const faults = new Map<number, ImageError>();
    const onBad = (error: ImageError, place: number) => void faults.set(place, error);
    const sizes = await imageSizes(images, { onBad });
    const { pixels } = this.limits;
    for (const [place, { width, height }] of sizes.entries())
      if (width * height > pixels)
        faults.set(place, new ImageError('', `expected at most ${pixels} pixels, got ${width}×${height}`));
    const places = [...images.keys()].filter((place) => !faults.has(place));
    if (places.length > 0) {
      const late: number[] = [];
      const rows = await this.model.embed(
        places.map((place) => images[place]!),
        {
          onBad: (error, at) => {
            late.push(at);
            onBad(error, places[at]!);
          },
        },
      );
      const good = places.filter((_, at) => !late.includes(at));
      const { dim } = this.model;
      const byPlace = new Map(good.map((place, row) => [place, rows.subarray(row * dim, (row + 1) * dim)]));
      return images.map((_, place) => byPlace.get(place) ?? faults.get(place)!);
    }
    return images.map((_, place) => faults.get(place)!);
  }

  private async one(job: Job, rows: readonly Float32Array[]): Promise<Answer> {
    switch (job.kind) {
      case 'embed':
        return { embeddings: rows.map((row) => [...row]) };
      case 'verify':
        return await this.verified(job, rows);
      case 'search':
        return await this.found(job, rows);
      case 'add':
        return await this.added(job, rows);
      case 'remove':
        return await this.removed(job);
      case 'list':
        return await this.listed(job);
      case 'reload':
        return await this.reloaded();
    }
  }

  private async verified(
    { images, maxFalseMatch, explain: asked }: Of<'verify'>,
    rows: readonly Float32Array[],
  ): Promise<VerifyAnswer> {
    const [one, other] = rows as [Float32Array, Float32Array];
    const calibration = this.calibration();
    const threshold =
      maxFalseMatch === null ? calibration && usualThreshold(calibration) : this.threshold(maxFalseMatch);
    const similarity = cosine(one, other);
    return {
      similarity,
      probability: calibration && matchProbability(calibration, similarity),
      answer: threshold && (similarity >= threshold.similarity ? 'same' : 'different'),
      threshold,
      ...(asked && { explanation: await explain(this.model, images[1]!, one) }),
    };
  }

  private async found(
    { images, top, per, label, maxFalseMatch, approximate, classify: voted, explain: asked }: Of<'search'>,
    rows: readonly Float32Array[],
  ): Promise<SearchAnswer> {
    const index = this.index();
    const threshold = maxFalseMatch === null ? null : this.threshold(maxFalseMatch);
    if (approximate && index.graph === null)
      throw new Problem(409, 'the index has no graph: build it (conquer items), or search exactly');
    const queries = joined(rows);
    const folder = index.origin?.folder ?? null;
    const how = { per, approximate, ...(maxFalseMatch !== null && { maxFalseMatch }) };
    const found = await searchLabelled(index, queries, top, label, how);
    const matches = found.map((some) => some.map((match) => servedMatch(match, folder)));
    if (asked)
      // One after the other: each takes the whole network.
      for (const [query, some] of matches.entries())
        for (const match of some) match.explanation = await this.why(images[query]!, match);
    return {
      matches,
      ...(threshold && { accepted: matches.map(({ length }) => length > 0), threshold }),
      ...(voted && {
        classes: (await classify(index, queries)).map(({ label, confidence, votes }) => ({
          label,
          confidence,
          votes,
        })),
      }),
    };
  }

  /** Of the index, or, where there is only a model, of its run. */
  private calibration(): Calibration | null {
    return this.#index === null ? this.#modelCalibration : this.#index.calibration;
  }

  /** @throws Problem 409 where the calibration does not support this rate, or there is none */
  private threshold(maxFalseMatch: number): MatchThreshold {
    const calibration = this.calibration();
    if (calibration === null)
      throw new Problem(
        409,
        `it is not known what a similarity means: ${this.served === null ? 'calibrate the run' : 'calibrate the index'} (conquer calibrate), or leave out maxFalseMatch`,
      );
    try {
      return thresholdFor(calibration, maxFalseMatch);
    } catch (error) {
      throw new Problem(409, (error as Error).message);
    }
  }

  /** What of a query makes it like a match. */
  private async why(image: Uint8Array, { id, image: which }: ServedMatch) {
    using rows = (await this.index().rows(id))!;
    using row = rows.select(0, which).clone();
    return await explain(this.model, image, row.toTypedArray() as Float32Array);
  }

  private async added({ item }: Of<'add'>, rows: readonly Float32Array[]) {
    const index = await this.current();
    if ((await index.item(item.id)) !== undefined)
      throw new Problem(
        409,
        `the index holds an item ${item.id} already: remove it first, or give another id`,
      );
    await this.changed(() => index.add(joined(rows), [{ ...item, images: rows.length }]));
    return { added: item.id, count: index.count };
  }

  private async removed({ id }: Of<'remove'>) {
    const index = await this.current();
    if ((await this.changed(() => index.remove([id]))) === 0)
      throw new Problem(404, `the index holds no item ${id}`);
    return { removed: id, count: index.count };
  }

  /** Makes a change and writes it. Where that fails, the index is what is on the disk: nothing was changed. */
  private async changed<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      const made = await work();
      await this.index().save(this.served!.path);
      this.#version = indexVersion(this.served!.path);
      return made;
    } catch (error) {
      if (error instanceof RangeError || error instanceof TypeError) throw error;
      this.#version = null;
      await this.reloaded();
      throw new Problem(503, `the index was not changed: ${(error as Error).message}`, 1);
    }
  }

  /** The index as it is on the disk now, for a change. */
  private async current(): Promise<AnyIndex> {
    this.index();
    await this.reloaded();
    return this.index();
  }

  private async listed({ after, limit }: Of<'list'>) {
    const index = this.index();
    if (after !== null && (await index.item(after)) === undefined)
      throw new Problem(404, `the index holds no item ${after} to go on after`);
    const items: ServedItem[] = [];
    let begun = after === null;
    for await (const { id, labels, payload, images } of index.items()) {
      if (items.length === limit) break;
      if (begun) items.push({ id, labels: [...labels], payload, paths: images.map(({ path }) => path) });
      else begun = id === after;
    }
    return { items, count: index.count };
  }

  /** Takes the index as it is on the disk now; where it cannot be opened, the one there was stays. */
  private async reloaded() {
    const { served } = this;
    if (served === null || indexVersion(served.path) === this.#version)
      return { count: this.#index?.count ?? 0, changed: false };
    const next = await this.opened(served);
    await this.#index?.dispose();
    this.#index = next;
    return { count: next.count, changed: true };
  }

  private async opened({ path, folder }: ServedIndex): Promise<AnyIndex> {
    // Before it is opened: what is written meanwhile is another one.
    const version = indexVersion(path);
    const index = await openAnyIndex(path, { folder, write: true });
    try {
      index.requireEmbedder(this.model);
      index.calibration ??= calibrationOfModel(this.model);
      this.#version = version;
      return index;
    } catch (error) {
      await index.dispose();
      throw new UserError(`${path}: ${(error as Error).message}`);
    }
  }

  private problemOf(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof UserError) return new Problem(422, error.message);
    this.onFault(error);
    return new Problem(500, 'the service failed, which is a bug: its log says where');
  }

  private index(): AnyIndex {
    if (this.#index === null) throw new Problem(404, 'there is no index here, only a model');
    return this.#index;
  }
}

/** @throws Problem for an image without a row, which says which of the request it is */
function readable(row: Float32Array | ImageError, place: number, all: readonly unknown[]): Float32Array {
  if (row instanceof Float32Array) return row;
  const which = all.length > 1 ? `image ${place + 1} of the request` : 'the image';
  throw new Problem(422, `${which} cannot be read: ${row.reason}`);
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}

/** Of rows of length 1; rounding takes it no further than 1. */
function cosine(one: Float32Array, other: Float32Array): number {
  const dot = one.reduce((sum, value, place) => sum + value * other[place]!, 0);
  return Math.min(1, Math.max(-1, dot));
}

function servedMatch({ path, labels, ...match }: Match, folder: string | null): ServedMatch {
  const inside = path === null || folder === null ? null : relative(folder, path);
  return { ...match, labels: [...labels], path: inside };
}
