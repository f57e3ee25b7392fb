import { didYouMean, UserError } from '@conquer-dml/run';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { usualInput } from '../../models/input-format.js';
import { RECALL_SOURCE } from '../../models/weights/known-recall.js';
import { type DescribedModel, describeModels, listModels } from '../../models/weights/list-models.js';
import { publicName } from '../../models/weights/public-name.js';

interface ModelsFlags {
  filter?: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('models')
    .description('list published models, or tell of one')
    .argument('[name]', 'of one: all that is known of it')
    .option('--filter <text>', 'keep models whose name holds this; * stands for anything')
    .option('--json', 'print a line of JSON for each model')
    .addHelpText(
      'after',
      "\nExample: conquer models --filter 'dinov2*'\n         conquer models vit_small_patch16_224.dino",
    )
    .action(printModels);
}

function printModels(name: string | undefined, { filter, json }: ModelsFlags): void {
  const all = listModels();
  const wanted = name === undefined ? all.filter(matching(filter)) : [one(name, all)];
  if (wanted.length === 0) throw new UserError(`--filter: no model's name holds '${filter}'`);
  const models = describeModels(wanted);
  const [first] = models;
  if (json) for (const model of models) process.stdout.write(`${JSON.stringify(model)}\n`);
  else if (name !== undefined && first !== undefined) process.stdout.write(described(first));
  else process.stdout.write(table(models));
}

function one<Listed extends { name: string }>(name: string, all: readonly Listed[]): Listed {
  const spelled = publicName(name);
  const found = all.find((model) => model.name === spelled);
  if (found) return found;
  const names = all.map((model) => model.name);
  throw new UserError(`unknown model '${name}'${didYouMean(name, names)}: conquer models lists them`);
}

function matching(filter: string | undefined): (model: { name: string }) => boolean {
  if (filter === undefined) return () => true;
  const escaped = filter.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(escaped.join('.*'), 'i');
  return ({ name }) => pattern.test(name);
}

const millions = (count: number) => (count / 1e6).toFixed(1);
const access = ({ builtIn, gated }: DescribedModel) => (builtIn ? 'built in' : gated ? 'gated' : 'open');

function table(models: readonly DescribedModel[]): string {
  const known = models.some(({ recall }) => recall !== null);
  const rows = new Table({
    head: [
      'model',
      'M numbers',
      'pixels',
      'dim',
      'licence',
      'access',
      ...(known ? ['CUB', 'Cars', 'SOP', 'In-Shop'] : []),
    ],
    colAligns: ['left', 'right', 'right', 'right', 'left', 'left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
    chars: PLAIN,
  });
  for (const model of models) {
    const { name, parameters, input, dim, license, licenseChecked, recall } = model;
    const values = recall
      ? [recall.cub, recall.cars, recall.sop, recall.inshop].map((value) => value.toFixed(1))
      : ['', '', '', ''];
    rows.push([
      name,
      millions(parameters),
      `${input.size}`,
      `${dim}`,
      licenseChecked ? license : `${license} ?`,
      access(model),
      ...(known ? values : []),
    ]);
  }
  const doubt = models.some(({ licenseChecked }) => !licenseChecked) ? `?: ${UNCHECKED}\n` : '';
  return `${rows}\n${known ? `${RECALL_SOURCE}\n` : ''}${doubt}conquer models NAME tells of one\n`;
}

/** Of a licence. */
const UNCHECKED = 'as its authors give it elsewhere, not looked up: the repository on the hub says it';

const PLAIN = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' },
  ...{ 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '' },
  ...{ right: '', 'right-mid': '', middle: ' ' },
};

function described(model: DescribedModel): string {
  const { name, repository, license, licenseChecked, gated, builtIn, parameters, dim, input, note, recall } =
    model;
  const { size, cropShare, mean, std, interpolation } = { ...usualInput, ...input };
  const from = builtIn
    ? `the package @conquer-dml/weights (published as ${repository})`
    : `${repository} on the Hugging Face hub${gated ? ', whose terms have to be accepted there first (then set HF_TOKEN)' : ''}`;
  const lines = [
    ['numbers', `${millions(parameters)} million`],
    ['embedding', `${dim} dimensions`],
    [
      'images',
      `${size} × ${size} pixels, ${interpolation}, ${Math.round(100 * cropShare)} % of the short side, mean ${mean.join(' ')}, std ${std.join(' ')}`,
    ],
    ['licence', licenseChecked ? license : `${license} (${UNCHECKED})`],
    ['weights', from],
    ...(note === undefined ? [] : [['note', note]]),
    ...(recall === null
      ? []
      : [
          [
            'Recall@1',
            `CUB ${recall.cub}, Cars ${recall.cars}, SOP ${recall.sop}, In-Shop ${recall.inshop} (${RECALL_SOURCE})`,
          ],
        ]),
  ];
  return `${name}\n${lines.map(([what, text]) => `  ${`${what}`.padEnd(10)} ${text}\n`).join('')}use it: conquer embed PHOTOS --model ${name} --out photos.safetensors\n`;
}
