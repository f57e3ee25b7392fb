import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BOARD, PYTHON, ROOT } from './places.mjs';

/** The weights that both sides start from where nothing was trained before: torchvision's ResNet-18, drawn by the seed. */
export function startFile(seed) {
  const file = join(BOARD, 'starts', `resnet18-${seed}.pth`);
  if (existsSync(file)) return file;
  mkdirSync(dirname(file), { recursive: true });
  execFileSync(PYTHON, [join(ROOT, 'board/peers/pml.py'), 'start', file, String(seed)]);
  return file;
}
