import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { aten, readSafetensors, scope, type Tensor, tensor, writeSafetensors } from '@conquer-dml/torch';
import { cacheError } from '../cache-folder.js';

const FORMAT = 'conquer-features-1';
const HASH_BYTES = 32;

/**
 * Features of photos in one view of one network, on the disk: in files of some hundred photos, each written whole, which any number
 * of processes add to. What a photo is, is the hash of its bytes.
 */
export class FeatureFiles {
  readonly folder: string;

  /**
   * @param within a folder for features of all kinds
   * @param of everything that the features go by but the photo: the weights, the pooling, the view
   */
  constructor(
    within: string,
    of: object,
    private readonly featureSize: number,
  ) {
    const key = createHash('sha256')
      .update(JSON.stringify([FORMAT, of]))
      .digest('hex');
    this.folder = join(within, key.slice(0, 32));
  }

  /**
   * The rows that are there.
   *
   * @param wanted place of each hash in `rows`
   * @param rows float32 (n, featureSize), written to
   * @returns the hashes that were found
   */
  read(wanted: ReadonlyMap<string, number>, rows: Tensor): Set<string> {
    const found = new Set<string>();
    const names = existsSync(this.folder) ? readdirSync(this.folder) : [];
    for (const name of names) {
      if (!name.endsWith('.safetensors') || found.size === wanted.size) continue;
      this.readFile(join(this.folder, name), wanted, rows, found);
    }
    return found;
  }

  /** @param features (n, featureSize) @throws UserError where they cannot be kept */
  add(hashes: readonly string[], features: Tensor): void {
    if (hashes.length === 0) return;
    const file = join(this.folder, `${randomUUID()}.safetensors`);
    try {
      mkdirSync(this.folder, { recursive: true });
      using bytes = tensor(new Uint8Array(Buffer.from(hashes.join(''), 'hex')), {
        shape: [hashes.length, HASH_BYTES],
      });
      const tensors = new Map([
        ['hashes', bytes],
        ['features', features],
      ]);
      writeSafetensors(file, tensors, { format: FORMAT }, { checksum: true });
    } catch (error) {
      throw cacheError('the features of photos', this.folder, error);
    }
  }

  /** A file that is damaged is as one that is not there: its photos are embedded again. */
  private readFile(
    file: string,
    wanted: ReadonlyMap<string, number>,
    rows: Tensor,
    found: Set<string>,
  ): void {
    scope(() => {
      let tensors: ReadonlyMap<string, Tensor>;
      try {
        tensors = readSafetensors(file).tensors;
      } catch {
        return;
      }
      const hashes = tensors.get('hashes')?.toTypedArray();
      const features = tensors.get('features');
      if (!(hashes instanceof Uint8Array) || features?.dtype !== 'float32') return;
      const count = hashes.length / HASH_BYTES;
      if (features.ndim !== 2 || features.shape[0] !== count || features.shape[1] !== this.featureSize)
        return;
      const [from, to]: [number[], number[]] = [[], []];
      for (let at = 0; at < count; at++) {
        const hash = Buffer.from(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)).toString('hex');
        const place = wanted.get(hash);
        if (place === undefined || found.has(hash)) continue;
        from.push(at);
        to.push(place);
        found.add(hash);
      }
      copyRows(rows, to, features, from);
    });
  }
}

/** Copies some rows of one tensor over some of another, in place, without one of all of them in between. */
export function copyRows(rows: Tensor, to: readonly number[], source: Tensor, from: readonly number[]): void {
  if (to.length === 0) return;
  scope(() => {
    const places = (list: readonly number[]) => tensor([...list], { dtype: 'int64' });
    aten.index_copy_(rows, 0, places(to), source.indexSelect(0, places(from)));
  });
}
