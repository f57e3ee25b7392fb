import { F, nn, scope, type Tensor } from '@conquer-dml/torch';
import { type Activation, activate } from './activation.js';
import { type LayerOptions, transformerLinear } from './layer-options.js';

/** (..., width) → (..., width): two linear layers, and a nonlinearity between them. */
export class Mlp extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(
    width: number,
    hidden: number,
    private readonly activation: Activation,
    options: LayerOptions,
  ) {
    super();
    this.fc1 = transformerLinear(width, hidden, options);
    this.fc2 = transformerLinear(hidden, width, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = this.fc1.forward(x);
      // Bits may differ from training's where the layer's do, as it computes with weights that are kept for it.
      const isFast = this.activation === 'gelu' && this.fc1.ready.isWanted;
      return this.fc2.forward(isFast ? F.fastGelu(inner) : activate(this.activation, inner));
    });
  }
}

/** (..., width) → (..., width): silu(gate) · value between two linear layers, of which the first gives both at once. */
export class PackedSwiGlu extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(
    width: number,
    private readonly hidden: number,
    options: LayerOptions,
  ) {
    super();
    this.fc1 = transformerLinear(width, 2 * hidden, options);
    this.fc2 = transformerLinear(hidden, width, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const both = this.fc1.forward(x);
      const gate = F.silu(both.narrow(-1, 0, this.hidden));
      return this.fc2.forward(gate.mul(both.narrow(-1, this.hidden, this.hidden)));
    });
  }
}

/** As PackedSwiGlu, gate and value of a layer each, and a LayerNorm behind their product where there is an eps. */
export class SwiGlu extends nn.Module {
  readonly fc1G: nn.Linear;
  readonly fc1X: nn.Linear;
  readonly norm: nn.LayerNorm | null;
  readonly fc2: nn.Linear;

  constructor(width: number, hidden: number, eps: number | null, options: LayerOptions) {
    super();
    this.fc1G = transformerLinear(width, hidden, options);
    this.fc1X = transformerLinear(width, hidden, options);
    this.norm = eps === null ? null : new nn.LayerNorm(hidden, { eps, device: options.device });
    this.fc2 = transformerLinear(hidden, width, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const product = F.silu(this.fc1G.forward(x)).mul(this.fc1X.forward(x));
      return this.fc2.forward(this.norm === null ? product : this.norm.forward(product));
    });
  }
}
