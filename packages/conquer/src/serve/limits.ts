/** What one request, and all that wait, may ask of the service. */
export interface ServeLimits {
  /** Bytes of a request's body. */
  bodyBytes: number;
  /** Pixels of an image, by its header: nothing is decoded of one with more. */
  pixels: number;
  /** Images of a request. */
  images: number;
  /** Images that wait for the network; requests beyond are sent away, to come again. */
  waitingImages: number;
  /** Bytes that these may hold together. */
  waitingBytes: number;
  /** From the arrival of a request's body to its answer. */
  seconds: number;
}

export const defaultLimits: ServeLimits = {
  bodyBytes: 32 * 2 ** 20,
  pixels: 50_000_000,
  images: 64,
  waitingImages: 512,
  waitingBytes: 256 * 2 ** 20,
  seconds: 30,
};

/** @throws RangeError naming a limit that is no positive number */
export function limitsOf(given: Partial<ServeLimits> = {}): ServeLimits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits))
    if (!(value > 0)) throw new RangeError(`serve: expected limits.${name} above 0, got ${value}`);
  return limits;
}
