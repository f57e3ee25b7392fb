import { noGrad, scope, type Tensor } from '@conquer-dml/torch';

/**
 * Gradients of several batches for one step of the optimiser (gradient accumulation): the step takes their mean. Each batch
 * has its own loss; only what is finite is added.
 */
export class GradientSum {
  private readonly sums = new Map<Tensor, Tensor>();
  private batches = 0;

  /** Batches whose gradients are in it. */
  get count(): number {
    return this.batches;
  }

  /** Adds what these parameters have as their gradients now. */
  add(parameters: Iterable<Tensor>): void {
    scope(() =>
      noGrad(() => {
        for (const parameter of parameters) {
          const { grad } = parameter;
          if (grad === null) continue;
          const sum = this.sums.get(parameter);
          if (sum) sum.add_(grad);
          else this.sums.set(parameter, grad.detach().clone().keep());
        }
      }),
    );
    this.batches++;
  }

  /** Makes the means the parameters' gradients, and begins anew. */
  give(): void {
    noGrad(() => {
      for (const [parameter, sum] of this.sums) parameter.grad = sum.div_(this.batches);
    });
    this.clear();
  }

  /** Begins anew. */
  clear(): void {
    for (const sum of this.sums.values()) sum.dispose();
    this.sums.clear();
    this.batches = 0;
  }
}
