/** A picture that any implementation can paint: two ramps, and a chessboard. H×W×3 bytes of RGB. */
export function goldenPicture(width: number, height: number, cell: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = (Math.floor(x / cell) + Math.floor(y / cell)) % 2 === 0;
      const across = Math.floor((255 * x) / (width - 1));
      pixels.set([across, Math.floor((255 * y) / (height - 1)), light ? 230 : 25], (y * width + x) * 3);
    }
  }
  return pixels;
}
