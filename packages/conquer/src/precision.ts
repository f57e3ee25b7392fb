import { readFileSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import { autocast, cudaComputesBfloat16, scope, type Tensor } from '@conquer-dml/torch';

/** What can be asked for. */
export const precisions = ['float32', 'bfloat16', 'auto'] as const;
export type AskedPrecision = (typeof precisions)[number];

/** Where nothing is said. */
export const usualPrecision: AskedPrecision = 'float32';

/** What a network's convolutions and products are computed in. Weights and all that follows on the network are float32. */
export type Precision = Exclude<AskedPrecision, 'auto'>;

/** The CPU's instructions for products of bfloat16, as Linux names them. */
const CPU_FLAGS = ['amx_bf16', 'avx512_bf16'] as const;

export interface PrecisionListener {
  onNote?: ((text: string) => void) | undefined;
  /** Default: as a note. */
  onWarning?: ((text: string) => void) | undefined;
}

/**
 * What a network is computed in on a device. 'auto' is bfloat16 where the device has instructions for it, and says what it
 * is and why; bfloat16 on a CPU without them is warned of.
 *
 * @throws UserError for another word
 */
export function choosePrecision(
  asked: AskedPrecision,
  device: string,
  { onNote, onWarning = onNote }: PrecisionListener = {},
): Precision {
  if (!precisions.includes(asked))
    throw new UserError(`expected the precision ${precisions.join(', ')}, got '${asked}'`);
  if (asked === 'float32') return asked;
  const found = instructionsFor(device);
  if (asked === 'bfloat16') {
    if (!found.there)
      onWarning?.(`precision bfloat16: ${found.why}, so that it takes some 6 times as long as float32`);
    return asked;
  }
  const chosen = found.there ? 'bfloat16' : 'float32';
  onNote?.(`precision auto: ${chosen}, as ${found.why}`);
  return chosen;
}

function instructionsFor(device: string): { there: boolean; why: string } {
  if (device === 'cpu') {
    const flags = cpuFlags();
    const flag = CPU_FLAGS.find((each) => flags.has(each));
    return flag === undefined
      ? { there: false, why: `this CPU has no instructions for bfloat16 (${CPU_FLAGS.join(', ')})` }
      : { there: true, why: `this CPU has instructions for it (${flag})` };
  }
  return cudaComputesBfloat16()
    ? { there: true, why: 'this card has units for it' }
    : { there: false, why: 'this card has no units for bfloat16' };
}

/** None where the system does not say. */
function cpuFlags(): Set<string> {
  try {
    const [, flags = ''] = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? [];
    return new Set(flags.trim().split(' '));
  } catch {
    return new Set();
  }
}

/**
 * Runs a network's own layers on images in a precision. What it gives is float32 (of a network of float64, that), so that
 * pooling, head, rows of length 1, losses and statistics never compute in less. Its weights keep their dtype, and so do
 * their gradients.
 */
export function inPrecision(
  precision: Precision,
  images: Tensor,
  network: (images: Tensor) => Tensor,
): Tensor {
  if (precision === 'float32') return network(images);
  return scope(() => inSinglePrecision(castTo(precision, images, network)));
}

/** The same, of whatever type the last of the layers gives. */
export function castTo(precision: Precision, images: Tensor, network: (images: Tensor) => Tensor): Tensor {
  if (precision === 'float32') return network(images);
  return autocast(images.device === 'cpu' ? 'cpu' : 'cuda', precision, () => network(images));
}

/** At least: float64 stays. */
export function inSinglePrecision(rows: Tensor): Tensor {
  return rows.dtype === 'float64' ? rows : rows.to('float32');
}
