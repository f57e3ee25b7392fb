import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
import { type DType, liveTensors, scope, Tensor, tensor } from '../index.js';
import { AtomicFile } from './atomic-file.js';
import { elementType } from './element-types.js';
import { encodeStateDict } from './pickle-writer.js';
import { readPickle, readPth, writePth } from './pth.js';
import { SerializationError } from './serialization-error.js';
import { tensorBytes } from './tensor-file.js';
import { ZipWriter } from './zip-writer.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

/** A tensor in plain numbers, to compare the two languages. */
interface Plain {
  dtype: string;
  shape: number[];
  strides: number[];
  values: number[];
}

const plain = (t: Tensor): Plain => ({
  dtype: t.dtype,
  shape: [...t.shape],
  strides: [...t.strides],
  values: [...t.toNumbers()],
});

/** In Python: the same, and a state dict as a list of pairs, to see its order. */
const PLAIN = `
import os, pickle, struct, collections, torch
at = lambda name: os.path.join(input['folder'], name)
def plain(t):
    t = t.detach()
    return {'dtype': str(t.dtype)[6:], 'shape': list(t.shape), 'strides': list(t.stride()), 'values': t.double().flatten().tolist()}
def pairs(d): return [[k, plain(v)] for k, v in d.items()]
`;

const DTYPES: DType[] = [
  'float64',
  'float32',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
];

const ofEveryDType = () =>
  new Map(
    DTYPES.map((dtype) => [
      `of ${dtype}, é`,
      tensor(dtype === 'bool' || dtype === 'uint8' ? [1, 0, 1, 1, 0, 1] : [-1.5, 2, 3.25, -4, 5, 6], {
        dtype,
      }).reshape([2, 3]),
    ]),
  );

describeWithPython('files of torch.save', ['torch'], () => {
  let expected: Record<string, [string, Plain][]>;

  beforeAll(() => {
    expected = runPython(
      `${PLAIN}
torch.manual_seed(0)
dtypes = collections.OrderedDict(
    [(str(d), (torch.randn(3, 4) * 50).abs().to(d)) for d in [torch.float64, torch.float32, torch.float16,
     torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]])
dtypes['scalar'] = torch.tensor(3.5)
dtypes['empty'] = torch.zeros(0, 5)
base = torch.arange(24.)
views = {'base': base, 'part': base[6:18].view(3, 4), 'transposed': base[6:18].view(3, 4).t(),
         'step': base[1::3], 'expanded': base[2:3].expand(4), 'again': base, 'part again': base[20:]}
model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
states = {'dtypes': dtypes, 'views': views, 'module': model.state_dict(),
          'parameters': dict(model.named_parameters())}
for name, state in states.items():
    torch.save(state, at(name + '.pth'))
    torch.save(state, at(name + '.legacy.pth'), _use_new_zipfile_serialization=False)
for protocol in [3, 4, 5]:
    torch.save(dtypes, at(f'protocol{protocol}.pth'), pickle_protocol=protocol)
torch.save({'epoch': 3, 'state_dict': model.state_dict(), 'optimizer': {'lr': 0.1}}, at('checkpoint.pth'))
cycle = ['self', model.weight if hasattr(model, 'weight') else torch.ones(2)]
cycle.append(cycle)
deep = []
for _ in range(150): deep = [deep, {'k': (deep,)} if _ % 50 == 0 else 0]
things = {'none': None, 'yes': True, 'no': False, 'int': 7, 'big': 2**40, 'huge': -2**70, 'negative': -300,
          'float': 1.5, 'text': 'ü€😀', 'bytes': b'\\x00\\xff', 'nothing': b'', 'set': {1, 2}, 'frozen': frozenset(['a']),
          'tuple': (1, (2, 3), (4, 5, 6, 7)), 'list': list(range(1000)), 'size': torch.Size([2, 3]),
          'dtype': torch.float16, 'ordered': collections.OrderedDict(a=1), 'cycle': cycle, 'deep': deep,
          3: 'int key', (1, 2): 'tuple key'}
for protocol in [2, 4]:
    torch.save(things, at(f'things{protocol}.pth'), pickle_protocol=protocol)
torch.save(things, at('things.legacy.pth'), _use_new_zipfile_serialization=False)

class Evil:
    def __reduce__(self): return (os.system, ('touch ' + at('ran'),))
torch.save({'a': torch.ones(1), 'b': Evil()}, at('evil.pth'))
torch.save({'a': torch.ones(1), 'b': Evil()}, at('evil.legacy.pth'), _use_new_zipfile_serialization=False)
torch.save({'b': Evil()}, at('evil4.pth'), pickle_protocol=4)
torch.save(model, at('whole.pth'))
torch.jit.script(model).save(at('script.pth'))
torch.save({'c': torch.ones(1, dtype=torch.complex64)}, at('complex.pth'))
torch.save({'a': torch.ones(1).storage()}, at('storage.pth'))

# As PyTorch 0.1 to 0.3 wrote under Python 2: pairs, byte strings, Parameter, _rebuild_tensor, views of a storage.
def short(s): return b'U' + bytes([len(s)]) + s
def old(key, start, n, shape, strides, grad):
    view = b'(' + short(b'view') + b'K' + bytes([start]) + b'K' + bytes([n]) + b't'
    ints = lambda v: b'(' + b''.join(b'K' + bytes([i]) for i in v) + b't'
    storage = b'(' + short(b'storage') + b'ctorch\\nFloatStorage\\n' + short(key) + short(b'cpu') + b'K\\x0c' + view + b'tQ'
    data = b'ctorch._utils\\n_rebuild_tensor\\n(' + storage + b'K\\x00' + ints(shape) + ints(strides) + b'tR'
    return b'ctorch.nn.parameter\\nParameter\\n' + data + b'\\x85R(' + grad + b'\\x89ccollections\\nOrderedDict\\n]\\x85Rtb'
pickled = b'\\x80\\x02ccollections\\nOrderedDict\\n](](' + short(b'w') + old(b'7', 2, 6, [2, 3], [3, 1], b'\\x88') + b'e]('
pickled += short(b'v') + old(b'7', 8, 4, [2, 2], [1, 2], b'\\x89') + b'ee\\x85R.'
with open(at('ancient.pth'), 'wb') as f:
    for part in [0x1950a86a20f9469cfc6c, 1001, {'little_endian': True, 'protocol_version': 1001, 'type_sizes': {'int': 4}}]:
        pickle.dump(part, f, protocol=2)
    f.write(pickled)
    pickle.dump(['7'], f, protocol=2)
    f.write(struct.pack('<q12f', 12, *range(12)))
output = {name: pairs(state) for name, state in states.items()}
`,
      { folder },
    );
  }, 60_000);

  it.each(['dtypes', 'views', 'module', 'parameters'])('reads %s, zipped and in the old format', (name) => {
    for (const file of [`${name}.pth`, `${name}.legacy.pth`]) {
      const state = readPth(at(file));
      expect([...state].map(([key, value]) => [key, plain(value)])).toEqual(expected[name]);
      for (const value of state.values()) expect(value.requiresGrad).toBe(name === 'parameters');
    }
  });

  it.each([3, 4, 5])('reads pickle protocol %i', (protocol) => {
    const state = readPth(at(`protocol${protocol}.pth`));
    expect([...state].map(([key, value]) => [key, plain(value)])).toEqual(expected.dtypes);
  });

  it.each(['views.pth', 'views.legacy.pth'])('keeps shared memory shared: %s', (file) => {
    const state = readPth(at(file));
    expect(state.get('again')).toBe(state.get('base'));
    state.get('base')?.fill_(7);
    for (const value of state.values()) expect(new Set(value.toNumbers())).toEqual(new Set([7]));
  });

  it('finds the state dict of a checkpoint', () => {
    const state = readPth(at('checkpoint.pth'));
    expect([...state].map(([key, value]) => [key, plain(value)])).toEqual(expected.module);
    expect((readPickle(at('checkpoint.pth')) as Map<string, unknown>).get('epoch')).toBe(3);
  });

  it('reads files of PyTorch before 0.4 under Python 2', () => {
    const state = readPth(at('ancient.pth'));
    expect([...state.keys()]).toEqual(['w', 'v']);
    expect(state.get('w')?.tolist()).toEqual([
      [2, 3, 4],
      [5, 6, 7],
    ]);
    expect(state.get('v')?.tolist()).toEqual([
      [8, 10],
      [9, 11],
    ]);
    expect([state.get('w')?.requiresGrad, state.get('v')?.requiresGrad]).toEqual([true, false]);
  });

  it.each(['things2.pth', 'things4.pth', 'things.legacy.pth'])('reads plain Python data: %s', (file) => {
    const things = readPickle(at(file)) as Map<unknown, unknown>;
    const cycle = things.get('cycle') as unknown[];
    expect(cycle[0]).toBe('self');
    expect(cycle[1]).toBeInstanceOf(Tensor);
    expect(cycle[2]).toBe(cycle);
    let depth = 0;
    for (let level = things.get('deep') as unknown[]; level.length > 0; level = level[0] as unknown[])
      depth++;
    expect(depth).toBe(150);
    for (const key of ['cycle', 'deep']) things.delete(key);
    const tupleKey = [...things.keys()].at(-1);
    expect(tupleKey).toEqual([1, 2]);
    things.delete(tupleKey);
    expect(things).toEqual(
      new Map<unknown, unknown>([
        ['none', null],
        ['yes', true],
        ['no', false],
        ['int', 7],
        ['big', 2 ** 40],
        ['huge', -(2n ** 70n)],
        ['negative', -300],
        ['float', 1.5],
        ['text', 'ü€😀'],
        ['bytes', Uint8Array.of(0, 255)],
        ['nothing', new Uint8Array()],
        ['set', new Set([1, 2])],
        ['frozen', new Set(['a'])],
        ['tuple', [1, [2, 3], [4, 5, 6, 7]]],
        ['list', Array.from({ length: 1000 }, (_, i) => i)],
        ['size', [2, 3]],
        ['dtype', 'float16'],
        ['ordered', new Map([['a', 1]])],
        [3, 'int key'],
      ]),
    );
  });

  it.each([
    ['evil.pth', /refused to load (posix|nt)\.system/],
    ['evil.legacy.pth', /refused to load (posix|nt)\.system/],
    ['evil4.pth', /refused to load (posix|nt)\.system/],
    ['whole.pth', /refused to load torch\.nn\.modules\.container\.Sequential/],
    ['complex.pth', /is complex64, which is not read/],
    ['script.pth', /TorchScript/],
    ['storage.pth', /refused a storage by itself/],
  ])('refuses %s by name', (file, message) => {
    const before = liveTensors();
    expect(() => readPickle(at(file))).toThrow(SerializationError);
    expect(() => readPickle(at(file))).toThrow(message);
    expect(() => readPickle(at(file))).toThrow(at(file));
    expect(readdirSync(folder)).not.toContain('ran');
    expect(liveTensors()).toBe(before);
  });

  it('says what it found where a state dict was expected', () => {
    expect(() => readPth(at('things2.pth'))).toThrow(/its entry "none" is None/);
  });

  it('leaves no tensor behind but the result', () => {
    const before = liveTensors();
    scope(() => {
      expect(liveTensors() - before).toBe(0);
      expect(readPth(at('dtypes.pth')).size).toBe(12);
      expect(liveTensors() - before).toBe(12);
      readPickle(at('things2.pth'));
    });
    expect(liveTensors()).toBe(before);
  });

  it('writes what torch.load reads, weights_only too', () => {
    const state = ofEveryDType();
    state.set('transposed', tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3] }).t());
    state.set('scalar', tensor(3));
    state.set('empty', tensor(new Float32Array(), { shape: [0, 300] }));
    const shared = tensor(Float32Array.from({ length: 70_000 }, (_, i) => i));
    state.set('shared', shared.requiresGrad_());
    state.set('shared again', shared);
    writePth(at('ours.pth'), state);

    // The same through zip64, as a file over 4 GiB would be.
    using file = new AtomicFile(at('ours64.pth'));
    const zip = new ZipWriter(file, 0);
    const wide = [...state]
      .slice(0, 3)
      .map(([name, t], i) => ({ name, key: `${i}`, type: elementType(t.dtype, name), shape: t.shape }));
    zip.add('archive/data.pkl', encodeStateDict(wide));
    for (const { name, key } of wide) {
      const t = state.get(name);
      if (t) zip.add(`archive/data/${key}`, tensorBytes(t));
    }
    zip.add('archive/version', Buffer.from('3\n'));
    zip.finish();
    file.commit();
    expect([...readPth(at('ours64.pth'))].map(([key, value]) => [key, plain(value)])).toEqual(
      [...state].slice(0, 3).map(([key, value]) => [key, plain(value)]),
    );

    const result = runPython<Record<string, unknown>>(
      `${PLAIN}
import inspect, zipfile
restricted = {'weights_only': True} if 'weights_only' in inspect.signature(torch.load).parameters else {}
ours, again, wide = torch.load(at('ours.pth')), torch.load(at('ours.pth'), **restricted), torch.load(at('ours64.pth'))
shared = ours['shared'].data_ptr() == ours['shared again'].data_ptr()
output = {'ours': pairs(ours), 'again': pairs(again), 'wide': pairs(wide), 'shared': shared, 'type': type(ours).__name__,
          'bad': [str(zipfile.ZipFile(at(name)).testzip()) for name in ['ours.pth', 'ours64.pth']],
          'aligned': all(v.data_ptr() % 64 == 0 for v in ours.values() if v.numel()), 'restricted': bool(restricted)}
`,
      { folder },
    );
    const contiguous = [...state].map(([key, value]) => [key, plain(value.contiguous())]);
    expect(result).toEqual({
      ours: contiguous,
      again: contiguous,
      wide: contiguous.slice(0, 3),
      shared: true,
      type: 'OrderedDict',
      bad: ['None', 'None'],
      aligned: true,
      restricted: true,
    });
    const back = readPth(at('ours.pth'));
    expect([...back].map(([key, value]) => [key, plain(value)])).toEqual(contiguous);
    expect(back.get('shared')?.requiresGrad).toBe(false);
  });
});

it('leaves the former file where the new one cannot be written', () => {
  const path = at('kept.pth');
  writePth(path, new Map([['a', tensor([1, 2])]]));
  const complex = tensor([1, 2]).to({ dtype: 'complex64' });
  expect(() => writePth(path, new Map([['a', complex]]))).toThrow(/tensor "a" is complex64/);
  const disposed = tensor([1]);
  disposed.dispose();
  expect(() => writePth(path, new Map([['a', disposed]]))).toThrow();
  expect(readPth(path).get('a')?.tolist()).toEqual([1, 2]);
  expect(() => writePth(join(folder, 'nowhere', 'x.pth'), new Map())).toThrow(SerializationError);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

it.each([
  ['a file that is not there', null, /cannot be opened: ENOENT/],
  ['an empty file', '', /expected a file of torch.save/],
  ['text', 'hello, world, this is not a checkpoint', /expected a file of torch.save/],
])('names %s', (_, contents, message) => {
  const path = at('broken.pth');
  if (contents !== null) writeFileSync(path, contents);
  expect(() => readPth(path)).toThrow(SerializationError);
  expect(() => readPth(path)).toThrow(message);
  rmSync(path, { force: true });
});
