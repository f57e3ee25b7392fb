import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { native } from './binding.js';

const packages = fileURLToPath(new URL('../..', import.meta.url));

/** `name` or `name$overload` of each operator that a source calls by itself. */
function calledOperators(): string[] {
  const found = new Set<string>();
  for (const folder of ['torch/src', 'conquer/src']) {
    for (const file of readdirSync(join(packages, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
      const text = readFileSync(join(packages, folder, file), 'utf8');
      for (const [, name = ''] of text.matchAll(/\baten\.(\w[\w$]*)\(/g)) found.add(name);
    }
  }
  return [...found].sort();
}

/** Of operators that are not promised to stay as they are: the first arguments, which are given by place. */
const givenByPlace: Record<string, string[]> = {
  _foreach_add$List: ['self', 'other', 'alpha'],
  _foreach_add_$List: ['self', 'other', 'alpha'],
  _foreach_add_$Scalar: ['self', 'scalar'],
  _foreach_addcdiv_$ScalarList: ['self', 'tensor1', 'tensor2', 'scalars'],
  _foreach_addcmul_$Scalar: ['self', 'tensor1', 'tensor2', 'value'],
  _foreach_div_$ScalarList: ['self', 'scalars'],
  _foreach_mul_$Scalar: ['self', 'scalar'],
  _foreach_norm$Scalar: ['self', 'ord'],
  _foreach_sqrt: ['self'],
  _upsample_bicubic2d_aa$vec: ['input', 'output_size', 'align_corners', 'scale_factors'],
  _upsample_bilinear2d_aa$vec: ['input', 'output_size', 'align_corners', 'scale_factors'],
};

it('each operator that is called is in this libtorch, and those with a leading underscore take what they are given', () => {
  const called = calledOperators();
  expect(called.length).toBeGreaterThan(150);
  for (const key of called) {
    const [name = '', overload = ''] = key.split('$');
    const operator = native.findOperator(`aten::${name}`, overload);
    expect(operator, key).not.toBe(null);
    if (!name.startsWith('_')) continue;
    const names = operator!.arguments.map((argument) => argument.name);
    expect(names.slice(0, givenByPlace[key]?.length), key).toEqual(givenByPlace[key]);
  }
});
