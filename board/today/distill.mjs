// Joining by distillation: one linear embedding learns the relations that the learners see (Park et al., "Relational knowledge distillation", CVPR 2019;
// UDON joins teachers' heads so). Two images of one cluster are as near as its learner has them, two of different ones as the whole
// embedding has them.
import { F, noGrad, optim, scope, tensor } from '@conquer-dml/torch';

/**
 * Cosines of a batch as the learners see them.
 *
 * @param unmasked (B, D) what the head gives; @param masks (K, D); @param clusters (B,)
 * @returns (B, B), which belongs to the caller
 */
export function relationsOf(unmasked, masks, clusters) {
  return scope(() =>
    noGrad(() => {
      const places = tensor(clusters, { dtype: 'int64' });
      const own = F.normalize(unmasked.mul(masks.indexSelect(0, places)));
      const whole = F.normalize(unmasked);
      const same = places.unsqueeze(1).eq(places.unsqueeze(0)).to({ dtype: 'float32' });
      const within = own.matmul(own.t()).mul(same);
      return within.add(whole.matmul(whole.t()).mul(same.mul(-1).add(1)));
    }),
  );
}

/**
 * Trains the teacher's own linear layer on, without masks, to have all relations at once: mean squared differences of cosines.
 *
 * @param model the divided model, whose layer goes on as the student; its masks are not needed afterwards
 * @param batch draws features (B, F) and their clusters, as often as it is called
 */
export function distil(model, { steps, learningRate, batch, onStep }) {
  const teacher = {
    weight: scope(() => noGrad(() => model.embedding.weight.detach().clone())).keep(),
    bias: scope(() => noGrad(() => model.embedding.bias.detach().clone())).keep(),
    masks: model.learnerMasks.effective().detach(),
  };
  const { weight, bias } = model.embedding;
  const optimizer = new optim.Adam([{ params: [weight, bias], lr: learningRate }]);
  try {
    for (let step = 0; step < steps; step++) {
      scope(() => {
        const { rows, clusters } = batch();
        const target = relationsOf(F.linear(rows, teacher.weight, teacher.bias), teacher.masks, clusters);
        const student = F.normalize(F.linear(rows, weight, bias));
        const loss = student.matmul(student.t()).sub(target).square().mean();
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
      });
      onStep?.(step);
    }
  } finally {
    optimizer.dispose();
    for (const one of Object.values(teacher)) one.dispose();
  }
}
