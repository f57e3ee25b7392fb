import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, scope, type Tensor, writePth, writeSafetensors } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { SmallResNet } from '../backbones/small-resnet.js';
import { loadWeights } from './weights.js';

const network = (seed: number) => new SmallResNet({ widths: [8, 16], generator: new Generator(seed) });
const numbers = (of: SmallResNet) =>
  Array.from(of.stateDict(), ([name, value]) => [name, [...value.toNumbers()]]);

/** A folder as `save_pretrained` writes it, of two parts. */
function inParts(of: SmallResNet, kind: 'safetensors' | 'bin'): string {
  const folder = temporaryFolder();
  const stem = kind === 'safetensors' ? 'model' : 'pytorch_model';
  const all = [...of.stateDict()];
  const parts: [string, Tensor][][] = [all.slice(0, 9), all.slice(9)];
  const map: Record<string, string> = {};
  for (const [i, part] of parts.entries()) {
    const file = `${stem}-0000${i + 1}-of-00002.${kind}`;
    const write = kind === 'safetensors' ? writeSafetensors : writePth;
    write(join(folder, file), new Map(part));
    for (const [name] of part) map[name] = file;
  }
  writeFileSync(join(folder, 'config.json'), '{}');
  const index = { metadata: { total_size: 1 }, weight_map: map };
  writeFileSync(join(folder, `${stem}.${kind}.index.json`), JSON.stringify(index));
  return folder;
}

describe('weights in several files', () => {
  it.each(['safetensors', 'bin'] as const)('are read from the folder or the list of them: %s', (kind) =>
    scope(() => {
      const from = network(1);
      const folder = inParts(from, kind);
      const list = kind === 'safetensors' ? 'model.safetensors.index.json' : 'pytorch_model.bin.index.json';
      for (const path of [folder, join(folder, list)]) {
        const to = network(2);
        loadWeights(to, path);
        expect(numbers(to)).toEqual(numbers(from));
      }
    }),
  );

  it.each([
    [
      'a part that is not there',
      (folder: string) => rmSync(join(folder, 'model-00002-of-00002.safetensors')),
      /missing beside it: model-00002/,
    ],
    [
      'a part that is another one',
      (folder: string) => {
        const first = readFileSync(join(folder, 'model-00001-of-00002.safetensors'));
        writeFileSync(join(folder, 'model-00002-of-00002.safetensors'), first);
      },
      /model-00002-of-00002.safetensors does not hold /,
    ],
    [
      'a part that is cut',
      (folder: string) => {
        const file = join(folder, 'model-00002-of-00002.safetensors');
        writeFileSync(file, readFileSync(file).subarray(0, -8));
      },
      /the weights cannot be read/,
    ],
    [
      'a list without some',
      (folder: string) => {
        const file = join(folder, 'model.safetensors.index.json');
        const { weight_map: map } = JSON.parse(readFileSync(file, 'utf8')) as {
          weight_map: Record<string, string>;
        };
        delete map['conv1.weight'];
        writeFileSync(file, JSON.stringify({ weight_map: map }));
      },
      /do not fit .*missing 1 \(conv1.weight\)/,
    ],
    [
      'a list that leads elsewhere',
      (folder: string) =>
        writeFileSync(join(folder, 'model.safetensors.index.json'), '{"weight_map": {"a": "../a"}}'),
      /expected a list of files beside it/,
    ],
    [
      'no list',
      (folder: string) => writeFileSync(join(folder, 'model.safetensors.index.json'), '[1'),
      /expected a list of files beside it/,
    ],
    [
      'no weights',
      (folder: string) => rmSync(join(folder, 'model.safetensors.index.json')),
      /name one of model-00001/,
    ],
  ])('leave all as it was where there is %s', (_, damage, message) =>
    scope(() => {
      const folder = inParts(network(1), 'safetensors');
      damage(folder);
      const to = network(2);
      const before = numbers(to);
      expect(() => loadWeights(to, folder)).toThrow(UserError);
      expect(() => loadWeights(to, folder)).toThrow(message);
      expect(numbers(to)).toEqual(before);
    }),
  );
});
