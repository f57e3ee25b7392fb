import { alexnet } from './alexnet.js';
import type { BackbonePart } from './backbone.js';
import { bnInception } from './bn-inception.js';
import { convnext } from './convnext/convnext.js';
import { efficientnet, mobilenet } from './efficientnet/efficientnet.js';
import { eva } from './eva/eva.js';
import { resnet18, resnet34, resnet50, resnet101, resnet152, timmResnet } from './resnet/resnet.js';
import { smallResNet } from './small-resnet.js';
import { swin } from './swin/swin.js';
import { vgg11, vgg11bn } from './vgg.js';
import { vit } from './vit/vit.js';

/** The backbones that an experiment can name. */
export const backbones = [
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
  smallResNet,
  alexnet,
  vgg11,
  vgg11bn,
  bnInception,
  vit,
  eva,
  convnext,
  swin,
  efficientnet,
  mobilenet,
  timmResnet,
] as const satisfies readonly BackbonePart[];
