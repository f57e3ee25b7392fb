import { cat, empty, type Generator, nn, scope, type Tensor } from '@conquer-dml/torch';

/** Of a transformer whose blocks take more tokens than the image's. */
export interface TokenShape {
  /** Of a token. */
  width: number;
  /** Blocks. */
  depth: number;
  /** Side of a patch, in pixels. */
  patch: number;
}

export interface PromptOptions {
  /** Tokens that are added. */
  count: number;
  /** New ones in front of every block, in the place of those before; otherwise the first block's go through all. */
  deep: boolean;
  /** Draws them; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/** Tokens that are learned, and stand between a transformer's class token and the image's patches. */
export class Prompts extends nn.Module {
  /** (1, count, width) of each block that gets new ones. */
  readonly tables: readonly Tensor[];
  readonly count: number;

  constructor({ width, depth, patch }: TokenShape, { count, deep, generator }: PromptOptions) {
    super();
    this.count = count;
    // As the patch embedding's weights, of Xavier's bound.
    const bound = Math.sqrt(6 / (3 * patch ** 2 + width));
    this.tables = Array.from({ length: deep ? depth : 1 }, () =>
      nn.init.uniform_(nn.parameter(empty([1, count, width])), -bound, bound, { generator }),
    );
  }

  /**
   * Tokens (B, N, width) through blocks, with these among them, and without them behind the last.
   *
   * @param prefix tokens in front of the patches (class token, registers), which stay in front
   */
  through(blocks: readonly { forward(x: Tensor): Tensor }[], tokens: Tensor, prefix: number): Tensor {
    return scope(() => {
      let current = tokens;
      for (const [i, block] of blocks.entries()) {
        const table = this.tables[i];
        const before = current;
        current = scope(() => block.forward(table ? this.with(before, table, prefix, i > 0) : before));
        if (before !== tokens) before.dispose();
      }
      return cat(this.around(current, prefix, true), 1);
    });
  }

  private with(tokens: Tensor, table: Tensor, prefix: number, replaced: boolean): Tensor {
    const [front, patches] = this.around(tokens, prefix, replaced) as [Tensor, Tensor];
    return cat([front, table.expand([tokens.size(0), -1, -1]), patches], 1);
  }

  /** What stands in front of the prompts, and behind them. */
  private around(tokens: Tensor, prefix: number, areThere: boolean): Tensor[] {
    const behind = prefix + (areThere ? this.count : 0);
    return [tokens.narrow(1, 0, prefix), tokens.narrow(1, behind, tokens.size(1) - behind)];
  }
}
