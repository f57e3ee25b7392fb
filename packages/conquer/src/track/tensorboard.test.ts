import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '@conquer-dml/run';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, randn, tensor, writeSafetensors } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { undivided } from '../divide/division.js';
import { crc32c, maskedCrc32c } from './crc32c.js';
import { TensorBoard } from './tensorboard.js';
import { Tracking } from './tracking.js';

describe('crc32c', () => {
  // RFC 3720, appendix B.4
  it.each([
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Buffer.from('123456789'), 0xe3069283],
  ])('%#', (bytes, sum) => {
    expect(crc32c(bytes)).toBe(sum);
    expect(maskedCrc32c(bytes)).toBe((((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0);
  });
});

// The messages as TensorFlow publishes them (event.proto, summary.proto, tensor.proto), read by protobuf's own parser
// out of frames whose checksums are checked bit by bit.
const reader = `
import struct
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, json_format

F = descriptor_pb2.FieldDescriptorProto
kinds = {'double': F.TYPE_DOUBLE, 'float': F.TYPE_FLOAT, 'int64': F.TYPE_INT64, 'int32': F.TYPE_INT32,
         'string': F.TYPE_STRING, 'bytes': F.TYPE_BYTES}
schema = {
    'Event': [('wall_time', 1, 'double'), ('step', 2, 'int64'), ('file_version', 3, 'string'),
              ('summary', 5, 'Summary'), ('session_log', 7, 'SessionLog')],
    'SessionLog': [('status', 1, 'int32')],
    'Summary': [('value', 1, '*Value')],
    'Value': [('tag', 1, 'string'), ('simple_value', 2, 'float'), ('image', 4, 'Image'),
              ('tensor', 8, 'TensorProto'), ('metadata', 9, 'SummaryMetadata')],
    'Image': [('height', 1, 'int32'), ('width', 2, 'int32'), ('colorspace', 3, 'int32'),
              ('encoded_image_string', 4, 'bytes')],
    'SummaryMetadata': [('plugin_data', 1, 'PluginData')],
    'PluginData': [('plugin_name', 1, 'string')],
    'TensorProto': [('dtype', 1, 'int32'), ('tensor_shape', 2, 'Shape'), ('string_val', 8, '*bytes')],
    'Shape': [('dim', 2, '*Dim')],
    'Dim': [('size', 1, 'int64')],
}
file = descriptor_pb2.FileDescriptorProto(name='event.proto', package='tf', syntax='proto3')
for name, fields in schema.items():
    message = file.message_type.add(name=name)
    for field, number, kind in fields:
        repeated, kind = kind.startswith('*'), kind.lstrip('*')
        entry = message.field.add(name=field, number=number, label=F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL)
        if kind in kinds:
            entry.type = kinds[kind]
        else:
            entry.type, entry.type_name = F.TYPE_MESSAGE, '.tf.' + kind
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
descriptor = pool.FindMessageTypeByName('tf.Event')
make = getattr(message_factory, 'GetMessageClass', None) or message_factory.MessageFactory(pool).GetPrototype
Event = make(descriptor)

def masked(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    crc ^= 0xffffffff
    return (((crc >> 15) | (crc << 17)) + 0xa282ead8) & 0xffffffff

def events(path):
    with open(path, 'rb') as f:
        while True:
            header = f.read(12)
            if not header:
                return
            length, sum = struct.unpack('<QI', header)
            assert masked(header[:8]) == sum, 'the checksum of a length'
            data = f.read(length)
            assert masked(data) == struct.unpack('<I', f.read(4))[0], 'the checksum of an event'
            yield Event.FromString(data)
`;

let folder: string;
let run: RunFolder;
const logs = () => join(run.path, 'tensorboard');
const files = () =>
  readdirSync(logs())
    .filter((name) => name.startsWith('events.out.tfevents.'))
    .sort()
    .map((name) => join(logs(), name));

const record = (epoch: number): EpochRecord => ({
  epoch,
  metrics: { 'R@1': 0.5 + epoch / 4, NMI: 0.25 },
  seconds: { evaluate: 1, train: 2 },
  ...(epoch >= 0 && { steps: 2, metricLoss: 0.375, maskLoss: 0, images: 16, numLearners: 1 }),
});

/** What the loop logs and tells of these epochs. */
async function follow(epochs: readonly number[]): Promise<string[]> {
  const warnings: string[] = [];
  const tracking = new Tracking(new TensorBoard(), { run, onWarning: (text) => warnings.push(text) });
  tracking.onStart();
  for (const epoch of epochs) {
    if (epoch >= 0) {
      const division = undivided(new Int32Array(4), epoch);
      run.appendDivision(division);
      tracking.onDivision(division);
      const steps = { metricLoss: 0.5, maskLoss: 0.125, imagesPerSecond: 8, skipped: 0 };
      run.appendSteps({ epoch, step: 1, steps: 2, ...steps });
      tracking.onSteps({ epoch, step: 1, steps: 2, ...steps });
    }
    run.appendEpoch(record(epoch));
    tracking.onEpochEnd(record(epoch));
  }
  await tracking.end('finished', null);
  return warnings;
}

beforeAll(async () => {
  folder = temporaryFolder();
  run = RunFolder.create(join(folder, 'mine'), { lr: 0.1, weights: null });
  const paths = Array.from({ length: 6 }, (_, i) => {
    const path = join(folder, `${i}.svg`);
    const colour = i % 2 === 0 ? 'red' : 'blue';
    writeFileSync(
      path,
      `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="${colour}"/></svg>`,
    );
    return path;
  });
  const labels = [0, 1, 0, 1, 0, 1];
  run.writeTestImages({ queries: { paths, labels, classNames: ['red', 'blue\tdark'] }, gallery: null });
  writeSafetensors(
    run.embeddingsFile,
    new Map([
      ['embeddings', randn([6, 3], { generator: new Generator(1) })],
      ['labels', tensor(Int32Array.from(labels))],
      ['neighbours', tensor(Int32Array.from([2, 1, 3, 5, 4, 0, 1, 5, 0, 2, 3, 1]), { shape: [6, 2] })],
      ['distances', tensor(new Float32Array(12), { shape: [6, 2] })],
      ['clusters', tensor(new Int32Array(6))],
    ]),
  );
  expect(await follow([-1, 0])).toEqual([]);
});

describeWithPython('event files', ['google.protobuf'], () => {
  it('hold the scalars, the settings and the retrievals, readable by others', () => {
    const [path] = files();
    const { scalars, texts, images, versions } = runPython<{
      scalars: [string, number, number][];
      texts: [string, string, string][];
      images: { tag: string; step: number; size: number[]; corners: number[][] }[];
      versions: string[];
    }>(
      `
${reader}
import io
from PIL import Image
scalars, texts, images, versions = [], [], [], []
for event in events(input):
    if event.file_version:
        versions.append(event.file_version)
    for value in event.summary.value:
        if value.HasField('image'):
            picture = Image.open(io.BytesIO(value.image.encoded_image_string))
            assert picture.size == (value.image.width, value.image.height) and value.image.colorspace == 3
            cell = value.image.height
            corners = [picture.getpixel((cell * i + 1, 1)) for i in range(3)]
            images.append({'tag': value.tag, 'step': event.step, 'size': picture.size, 'corners': corners})
        elif value.HasField('tensor'):
            assert value.tensor.dtype == 7 and [d.size for d in value.tensor.tensor_shape.dim] == [1]
            texts.append([value.tag, value.metadata.plugin_data.plugin_name, value.tensor.string_val[0].decode()])
        else:
            scalars.append([value.tag, event.step, value.simple_value])
output = {'scalars': scalars, 'texts': texts, 'images': images, 'versions': versions}
`,
      path,
    );
    expect(versions).toEqual(['brain.Event:2']);
    const of = (tag: string) => scalars.filter(([name]) => name === tag).map(([, ...rest]) => rest);
    expect(of('test/R@1')).toEqual([
      [0, 0.25],
      [1, 0.5],
    ]);
    expect(of('steps/metric loss')).toEqual([[2, 0.5]]);
    expect(of('steps/mask loss')).toEqual([[2, 0.125]]);
    expect(of('train/metric loss')).toEqual([[1, 0.375]]);
    expect(of('train/images per second')).toEqual([[1, 8]]);
    expect(of('division/clusters')).toEqual([[0, 1]]);
    expect(texts).toEqual([['settings', 'text', '| setting | value |\n|---|---|\n| lr | 0.1 |\n']]);
    // Query 1 has two right ones; query 0 a right and a wrong one; the worst come first.
    const strip = (tag: string) => images.find((image) => image.tag === tag);
    const [white, green, red] = [
      [255, 255, 255],
      [46, 160, 67],
      [218, 54, 51],
    ];
    expect(strip('retrieval spread/1')).toMatchObject({
      step: 1,
      size: [312, 104],
      corners: [white, green, red],
    });
    expect(strip('retrieval spread/2')?.corners).toEqual([white, green, green]);
    expect(
      strip('retrieval worst/1')?.corners.filter((corner) => String(corner) === String(red)),
    ).not.toEqual([]);
  });

  it('of a run that was resumed or told again are one, that holds what the log holds', async () => {
    // An epoch that was told, and that the run goes back behind.
    expect(await follow([1])).toEqual([]);
    run.rewindTo(0);
    expect(await follow([1, 2])).toEqual([]);
    const again = new Tracking(new TensorBoard(), { run, onWarning: () => expect.unreachable() });
    again.tellPast();
    await again.end('finished', null);
    const [path, ...others] = files();
    expect(others).toEqual([]);
    const [starts, steps, epochs] = runPython<[number[][], number[], number[]]>(
      `
${reader}
read = list(events(input))
at = lambda tag: [e.step for e in read for v in e.summary.value if v.tag == tag]
output = [[[i, e.session_log.status, e.step] for i, e in enumerate(read) if e.HasField('session_log')],
          at('steps/metric loss'), at('test/R@1')]
`,
      path,
    );
    expect(steps).toEqual([2, 4, 6]);
    expect(epochs).toEqual([0, 1, 2, 3]);
    // Before all else, so that it drops nothing of this file.
    expect(starts).toEqual([[1, 1, 0]]);
  });
});

describe('the projector', () => {
  it('has the embedding, and the class and file of each image', () => {
    const lines = (name: string) => readFileSync(join(logs(), name), 'utf8').trimEnd().split('\n');
    expect(lines('embedding.tsv').map((line) => line.split('\t').length)).toEqual([3, 3, 3, 3, 3, 3]);
    expect(lines('metadata.tsv')).toEqual([
      'class\tfile',
      'red\t0.svg',
      'blue dark\t1.svg',
      'red\t2.svg',
      'blue dark\t3.svg',
      'red\t4.svg',
      'blue dark\t5.svg',
    ]);
    expect(lines('projector_config.pbtxt').join('\n')).toContain('tensor_path: "embedding.tsv"');
  });
});
