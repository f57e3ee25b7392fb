/** An image that cannot be read. The message is one line and names the file and the reason. */
export class ImageError extends Error {
  override readonly name = 'ImageError';

  /** @param path of the image; in the message its line breaks and control characters become spaces @param reason in words */
  constructor(
    readonly path: string,
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`cannot read the image ${path}: ${reason}`.replaceAll(/\p{Cc}+\s*/gu, ' '), options);
  }
}
