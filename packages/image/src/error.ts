/** An image that cannot be read. The message is one line and names the file and the reason. */
export class ImageError extends Error {
  override readonly name = 'ImageError';

  constructor(
    readonly path: string,
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`cannot read the image ${path}: ${reason}`, options);
  }
}
