import { createRequire } from 'node:module';
import { UserError } from '@conquer-dml/run';

/** The network whose weights come with the program: what is taken where none is named. */
export const BUILT_IN = 'tf_efficientnet_lite0.in1k';

/**
 * The file of its weights.
 *
 * @throws UserError where the package that holds it was left out
 */
export function builtInWeights(): string {
  try {
    return createRequire(import.meta.url).resolve(`@conquer-dml/weights/${BUILT_IN}.safetensors`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new UserError(
      `the weights of ${BUILT_IN} are in the package @conquer-dml/weights, which is not installed: npm install @conquer-dml/weights`,
    );
  }
}
