import { nn, noGrad, scope, type Tensor } from '@conquer-dml/torch';

/**
 * Runs `body` while what low-rank adapters learnt is in the weights of their layers, and no adapter beside them. Afterwards all
 * is as it was.
 */
export async function withMergedAdapters<T>(network: nn.Module, body: () => Promise<T>): Promise<T> {
  const merged: { layer: nn.Linear; adapter: nn.LowRank; weight: Tensor }[] = [];
  for (const [, layer] of network.namedModules()) {
    if (!(layer instanceof nn.Linear && layer.adapter instanceof nn.LowRank)) continue;
    const { adapter, weight } = layer;
    merged.push({ layer, adapter, weight });
    layer.weight = noGrad(() =>
      scope(() =>
        nn.parameter(adapter.mergedInto(weight), {
          requiresGrad: weight.requiresGrad,
        }),
      ),
    );
    layer.adapter = null;
  }
  try {
    return await body();
  } finally {
    for (const { layer, adapter, weight } of merged) {
      layer.weight.dispose();
      layer.weight = weight;
      layer.adapter = adapter;
    }
  }
}
