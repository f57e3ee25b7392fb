import { noGrad, scope } from '@conquer-dml/torch';
import { createModel } from '../models/create-model.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readNumber,
  TOLERANCE,
} from './check.js';
import {
  calibrateBatchNorm,
  deterministicImages,
  setDeterministicWeights,
  weightNames,
} from './deterministic-weights.js';
import { knownNetwork } from './known-network.js';

/** architectures.json: embeddings and features of networks whose weights are given by a rule. */
export const checkArchitectures: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    const arch = knownNetwork(comparison, item, 'arch', i);
    if (arch === null) continue;
    const bias = readGoldenTensor(item.embeddingBias, `embeddingBias of case ${i}`);
    const imageSize = readNumber(item.imageSize, `imageSize of case ${i}`);
    const batch = readNumber(item.batch, `batch of case ${i}`);
    const salt = readNumber(item.salt, `salt of case ${i}`);
    using model = createModel(arch, { embeddingDim: bias.data.length }).to(on);
    const { backbone, embedding } = model.parameterGroups();
    const count = [...backbone, ...embedding].reduce((sum, parameter) => sum + parameter.numel(), 0);
    comparison.same(`${arch} parameters`, [count], [readNumber(item.parameterCount, 'parameterCount')]);
    comparison.same(
      `${arch} tensors`,
      [weightNames(model).length],
      [readNumber(item.numTensors, 'numTensors')],
    );

    setDeterministicWeights(model, bias.data, salt);
    noGrad(() =>
      scope(() => {
        calibrateBatchNorm(model, deterministicImages(50, 12, imageSize, salt).to(on));
        model.eval();
        const images = deterministicImages(7, batch, imageSize, salt).to(on);
        const wantEmbedding = readGoldenTensor(item.embedding, `embedding of case ${i}`);
        comparison.close(`${arch} embedding`, model.embed(images).toNumbers(), wantEmbedding.data);
        const wantHead = readGoldenTensor(item.penultimateHead, `penultimateHead of case ${i}`);
        const head = model.features(images).narrow(1, 0, wantHead.shape[1] as number);
        comparison.close(`${arch} features`, head.toNumbers(), wantHead.data);
      }),
    );
  }
  return comparison.result;
};
