// The peak memory of a training step (that of bench/ours/step.mjs), the process with all that it has loaded: ours, ours with activation
// checkpointing, and PyTorch's, each in a process of its own, one after the other in one run; and its time, of the processor:
//   PYTHON=… node bench/step-memory.mjs [ARCH BATCH PIXELS]      of a PyTorch 2.x with torchvision, and timm for a vision transformer

import { commandLine } from './command-line.mjs';
import { startOurs, startPeer } from './sides.mjs';

const [arch = 'resnet50', batch = '80', size = '224'] = commandLine({}, [
  '[ARCH]',
  '[BATCH]',
  '[PIXELS]',
]).positionals;
const STEPS = Number(process.env.STEPS ?? 2);
const args = ['--arch', arch, '--batch', batch, '--size', size, '--learners', '8', '--bn', 'frozen'];

async function measure(start, extra) {
  const side = await start('step', [...args, ...extra]);
  const answers = [];
  for (let i = 0; i < STEPS; i++) answers.push(await side.run());
  await side.end();
  return {
    gib: Math.max(...answers.map(({ peak }) => peak)) / 2 ** 30,
    processor: Math.min(...answers.map(({ processor }) => processor)),
  };
}

const sides = {
  PyTorch: [startPeer, []],
  ours: [startOurs, []],
  'ours, checkpointed': [startOurs, ['--checkpointing', 'yes']],
};
let peer;
for (const [name, [start, extra]] of Object.entries(sides)) {
  const found = await measure(start, extra);
  peer ??= found;
  console.log(
    `${arch}, batch ${batch}, ${size} px, ${name}: ${found.gib.toFixed(2)} GiB (${(found.gib / peer.gib).toFixed(2)}), ` +
      `${found.processor.toFixed(1)} s of the processor (${(found.processor / peer.processor).toFixed(2)})`,
  );
}
