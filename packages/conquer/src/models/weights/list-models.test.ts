import { expect, it } from 'vitest';
import { BUILT_IN } from './built-in.js';
import { checkedLicenses } from './checked-licenses.js';
import { knownRecall } from './known-recall.js';
import { describeModels, listModels } from './list-models.js';

it('lists each public name once, with what there is to know', () => {
  const all = listModels();
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(all.filter(({ builtIn }) => builtIn).map(({ name }) => name)).toEqual([BUILT_IN]);
  for (const { repository, license } of all) {
    expect(repository).toMatch(/^[\w.-]+\/[\w.-]+$/);
    expect(license).not.toBe('');
  }
  const small = all.filter(({ name }) => ['vit_small_patch14_dinov2.lvd142m', BUILT_IN].includes(name));
  expect(describeModels(small).map(({ name, dim, parameters }) => [name, dim, parameters])).toEqual([
    // timm's counts without a classifier.
    ['vit_small_patch14_dinov2.lvd142m', 384, 22_056_192],
    [BUILT_IN, 1280, 3_371_008],
  ]);
});

it('states a recall of names that are in the list only, each a share of 100', () => {
  const known = listModels().filter(({ name }) => knownRecall(name) !== null);
  expect(known.length).toBeGreaterThan(10);
  for (const { recall } of known)
    for (const value of Object.values(recall!)) {
      expect(value).toBeGreaterThan(1);
      expect(value).toBeLessThan(100);
    }
});

it('every licence that was checked belongs to a name in the list, and is what the list says; the others are in doubt', () => {
  const listed = new Map(listModels().map((model) => [model.name as string, model]));
  for (const [name, license] of checkedLicenses)
    expect(listed.get(name), name).toMatchObject({ license, licenseChecked: true });
  const hub = [...listed.values()].filter(({ name, repository }) => name === repository);
  expect(hub.filter(({ licenseChecked }) => licenseChecked).map(({ name }) => name)).toHaveLength(
    checkedLicenses.size,
  );
  // Its page states none, and its authors' repository one of the code.
  expect(listed.get('openai/clip-vit-base-patch32')).toMatchObject({ licenseChecked: false });
});
