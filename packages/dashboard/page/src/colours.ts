/** Told apart with every common kind of colour vision, and seen on light and on dark. */
const FIRST = ['#3b7ddd', '#e07b00', '#179a6b', '#c2459a', '#7d62e8', '#0e97ad', '#d6503f', '#8b8a1f'];

/** A colour for the n-th of things that have no order: runs, learners, clusters, classes. */
export function categorical(n: number): string {
  const first = FIRST[n];
  if (first) return first;
  // Turns by the golden angle never come back to the same hue; lightness goes round too.
  const hue = (n * 137.508) % 360;
  return hsl(hue, 0.58, [0.5, 0.62, 0.42][n % 3] as number);
}

/** @param hue degrees @returns '#rrggbb' */
function hsl(hue: number, saturation: number, lightness: number): string {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    const value = lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** For canvases, which know no variables: what a CSS variable of the page is just now, as 'rgb(…)'. */
export function cssColour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

export interface Rgb {
  r: number;
  g: number;
  b: number;
}

export function rgb(colour: string): Rgb {
  const hex = /^#([\da-f]{2})([\da-f]{2})([\da-f]{2})$/i.exec(colour);
  const [r = 0, g = 0, b = 0] = hex
    ? hex.slice(1).map((digits) => Number.parseInt(digits, 16))
    : (colour.match(/[\d.]+/g) ?? []).map(Number);
  return { r, g, b };
}

/** From `low` at 0 to `high` at 1. */
export function blend(low: Rgb, high: Rgb, share: number): Rgb {
  const t = Math.min(1, Math.max(0, share));
  return {
    r: low.r + t * (high.r - low.r),
    g: low.g + t * (high.g - low.g),
    b: low.b + t * (high.b - low.b),
  };
}
