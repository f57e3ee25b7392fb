// The settings of a peer that a row tries before it takes the fastest.
import { PYTHON, PYTHON_TODAY } from './sides.mjs';

/**
 * @typedef {object} Setting
 * @property {string} name what the table says
 * @property {string} python
 * @property {string[]} args
 * @property {Record<string, string>} environment
 */

/** glibc gives no freed memory back to the system, as conquer's own does not. */
export const KEPT = {
  GLIBC_TUNABLES: 'glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=10000000000',
};

/** @returns {Setting} */
const today = (name, args = [], environment = {}) => ({
  name: `2.13 ${name}`.trim(),
  python: PYTHON_TODAY,
  args,
  environment,
});
/** @returns {Setting} */
const debians = (name, args = [], environment = {}) => ({
  name: `1.13 ${name}`.trim(),
  python: PYTHON,
  args,
  environment,
});

/** Of both, without a choice. */
export const AS_IT_COMES = [debians(''), today('')];

/** Of the versions that the packages of PyPI and of Debian have of faiss. */
export const FAISS = [
  { ...debians(''), name: 'faiss of Debian' },
  { ...today(''), name: 'faiss of PyPI' },
];

const LAST = ['--layout', 'channels_last'];
const FUSED = ['--fused', 'yes'];
const COMPILED = ['--compile', 'yes'];

/** Of a training step in float32. */
export const STEP = [
  debians('eager'),
  debians('eager, memory kept', [], KEPT),
  today('eager, fused Adam, memory kept', FUSED, KEPT),
  today('channels_last, fused Adam, memory kept', [...LAST, ...FUSED], KEPT),
  today('torch.compile, fused Adam, memory kept', [...COMPILED, ...FUSED], KEPT),
  today('torch.compile, channels_last, fused Adam, memory kept', [...COMPILED, ...LAST, ...FUSED], KEPT),
];

/** The same in bfloat16, which 1.13 has no fast way for. */
export const STEP_BFLOAT16 = STEP.filter(({ python }) => python === PYTHON_TODAY);

/** Of forward and backward of a vision transformer, which has no layout to choose. */
export const TRANSFORMER = [
  today('eager'),
  today('eager, memory kept', [], KEPT),
  today('torch.compile', COMPILED),
];

/** Of images read by a DataLoader. */
export const LOADER = [
  ...[0, 1, 2].map((workers) => debians(`${workers} workers`, ['--workers', `${workers}`])),
  ...[0, 1, 2, 4].map((workers) => today(`${workers} workers`, ['--workers', `${workers}`])),
];

/** Of embedding images read by a DataLoader; a network that is compiled or of onnxruntime takes both processors to itself. */
export const EMBEDDING = [
  ...[0, 1, 2].map((workers) => debians(`eager, ${workers} workers`, ['--workers', `${workers}`])),
  ...[0, 2].flatMap((workers) => {
    const read = ['--workers', `${workers}`];
    return [
      today(`eager, ${workers} workers`, read, KEPT),
      today(`channels_last, ${workers} workers`, [...read, ...LAST], KEPT),
      today(`torch.compile, frozen, ${workers} workers`, [...read, ...COMPILED], {
        ...KEPT,
        TORCHINDUCTOR_FREEZING: '1',
      }),
      today(`onnxruntime, ${workers} workers`, [...read, '--engine', 'onnxruntime']),
    ];
  }),
];

/** The same in bfloat16. */
export const EMBEDDING_BFLOAT16 = EMBEDDING.filter(
  ({ python, args }) => python === PYTHON_TODAY && !args.includes('onnxruntime'),
);

/** Of a network that is given batches of one size. */
export const NETWORK = [
  today('eager', [], KEPT),
  today('channels_last', LAST, KEPT),
  today('torch.compile, frozen', COMPILED, { ...KEPT, TORCHINDUCTOR_FREEZING: '1' }),
  today('torch.compile, frozen, channels_last', [...COMPILED, ...LAST], {
    ...KEPT,
    TORCHINDUCTOR_FREEZING: '1',
  }),
  today('onnxruntime', ['--engine', 'onnxruntime']),
];

/** The same in bfloat16. */
export const NETWORK_BFLOAT16 = NETWORK.filter(({ args }) => !args.includes('onnxruntime'));

/** Of timm, which the system's PyTorch is too old for. */
export const TIMM = [today('')];
