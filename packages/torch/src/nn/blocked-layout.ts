import { autocastDtype } from '../autograd.js';
import { native } from '../binding.js';
import { isRecording } from '../recording.js';
import { scope } from '../scope.js';
import { aten, type Tensor } from '../tensor.js';

/**
 * Runs `network` on x (B, C, H, W) in oneDNN's blocked layout, in which a few channels lie together. Convolutions on
 * the CPU compute in it anyway: given plain tensors, each of them copies its input there and its output back, forward
 * and backward. One change at either end spares these copies, 8 to 15 % of a ResNet's training step.
 *
 * NaN stays NaN, as in the plain layout: oneDNN's own ReLU and maximum pooling would make it a zero or the smallest
 * number, so others take their place (native/blocked-layout.cc).
 *
 * Inside, the layers have to be convolutions, BatchNorm, ReLU, sums and pooling; parameters and their gradients stay
 * plain. Where the layout does not exist (another device or dtype, a build without oneDNN or whose tensors cannot be reached, an empty batch), `network`
 * gets x as it is; within autocast too, whose casts there are none of in it: convolutions are channels_last there.
 */
export function inBlockedLayout(x: Tensor, network: (x: Tensor) => Tensor): Tensor {
  // What is recorded is to be the network's operators, not this machine's layout.
  const possible =
    !isRecording() &&
    native.hasBlockedLayout() &&
    x.device === 'cpu' &&
    x.dtype === 'float32' &&
    autocastDtype(x.device) === null &&
    x.numel() > 0;
  return scope(() => {
    if (!possible) return network(x);
    const blocked = aten.to_mkldnn(x);
    const maps = network(blocked);
    blocked.dispose();
    return aten.to_dense(maps);
  });
}

/**
 * Maps (B, C, H, W) whose channels lie together in memory, on the CPU; elsewhere x itself. What follows takes the layout over: for convolutions of each
 * channel by itself, which are slow in the plain one and unknown to oneDNN's blocked one.
 */
export function channelsLast(x: Tensor): Tensor {
  if (isRecording() || x.device !== 'cpu') return x;
  const last = aten.contiguous(x, 'channels_last');
  const [, channels = 0, height, width] = x.shape;
  // Of one pixel it is both layouts, and what follows would go by the plain one.
  return height === 1 && width === 1 && channels > 0
    ? aten.as_strided(last, x.shape, [channels, 1, channels, channels])
    : last;
}
