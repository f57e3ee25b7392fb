import { aten, scope, type Tensor, zeros } from '@conquer-dml/torch';

/**
 * How alike the learners' masks are: the mean cosine similarity of the ReLU'd masks over all pairs of
 * different learners. Training adds it with a weight lambda, so that every learner gets dimensions of its own
 * (Sanakoyeu et al., arXiv 2109.04003, section 3.3). Between 0 and 1; 0 for a single learner.
 *
 * One Gram matrix, no loop over pairs. A mask without a positive entry counts as similar to none and gets no
 * gradient. (|sum of unit masks|^2 - K would do without the matrix, but loses all digits where masks are
 * nearly orthogonal, and K is small.)
 *
 * @param masks (K, D), as they are stored, before the ReLU
 * @returns a scalar (), differentiable, which belongs to the caller
 * @throws RangeError if the masks are not (K, D)
 */
export function maskOrthogonality(masks: Tensor): Tensor {
  const [numLearners] = masks.shape;
  if (masks.ndim !== 2 || numLearners === undefined) {
    throw new RangeError(
      `maskOrthogonality: expected masks of shape (K, D), got (${masks.shape.join(', ')})`,
    );
  }
  if (numLearners < 2) return zeros([], { dtype: masks.dtype, device: masks.device });
  return scope(() => {
    const positive = masks.relu();
    const products = positive.matmul(positive.t());
    // The eps of PyTorch's CosineSimilarity, 1e-8, which bounds each norm from below.
    const norms = aten.diagonal(products).clamp({ min: 1e-16 }).sqrt();
    const similarities = products.div(norms).div(norms.view([numLearners, 1]));
    const numPairs = (numLearners * (numLearners - 1)) / 2;
    return aten.triu(similarities, 1).sum().div(numPairs);
  });
}
