/** A MATLAB file that is not one, is damaged, or holds what conquer does not read. The message is one line. */
export class MatlabError extends Error {
  override readonly name = 'MatlabError';
}
