/** An image that cannot be read. The message is one line and names the file and the reason. */
export class ImageError extends Error {
  override readonly name = 'ImageError';

  /** @param path of the image @param reason in words, of one line */
  constructor(
    readonly path: string,
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`cannot read the image ${path}: ${reason}`, options);
  }
}
