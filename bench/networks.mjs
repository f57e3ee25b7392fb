// Networks with drawn weights, made once, for both sides: safetensors under timm's names, and images as numbers.
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../packages/conquer/dist/cache-folder.js';

/** timm's names of what is embedded with, and the sides in pixels of their images. */
export const NETWORKS = {
  resnet50: { arch: 'resnet50.a1_in1k', size: 224, work: 'ResNet-50' },
  'vit-small': { arch: 'vit_small_patch16_224.augreg_in21k', size: 224, work: 'ViT-S/16' },
  lite0: { arch: 'tf_efficientnet_lite0.in1k', size: 224, work: 'EfficientNet-Lite0 (the built-in network)' },
};

/** @returns {Promise<string>} a file that `load_state_dict` of timm's network takes */
export async function networkFile(arch) {
  const folder = join(cacheFolder(), 'bench');
  const file = join(folder, `${arch}.safetensors`);
  if (existsSync(file)) return file;
  const { createBackbone } = await import('../packages/conquer/dist/models/create-model.js');
  const { Generator, writeSafetensors } = await import('@conquer-dml/torch');
  mkdirSync(folder, { recursive: true });
  const backbone = createBackbone(arch, { generator: new Generator(1) });
  const temporary = `${file}.${process.pid}.part`;
  writeSafetensors(temporary, backbone.stateDict(), { format: 'pt' });
  backbone.dispose();
  renameSync(temporary, file);
  return file;
}

/** @returns {Promise<string>} a raw file of float32 (count, 3, size, size), about N(0, 1) */
export async function imageNumbers(count, size) {
  const folder = join(cacheFolder(), 'bench');
  const file = join(folder, `numbers-${count}x3x${size}x${size}.f32`);
  if (existsSync(file)) return file;
  const { Generator, randn } = await import('@conquer-dml/torch');
  mkdirSync(folder, { recursive: true });
  const images = randn([count, 3, size, size], { generator: new Generator(2) });
  const temporary = `${file}.${process.pid}.part`;
  writeFileSync(temporary, images.toTypedArray());
  images.dispose();
  renameSync(temporary, file);
  return file;
}
