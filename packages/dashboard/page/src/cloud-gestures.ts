import type { PlacedPoint, PointCloud } from './point-cloud.js';

export interface CloudEvents {
  /** The pointer is over this point; null: over none. */
  hover: (point: PlacedPoint | null) => void;
  /** A click; null: beside all points. */
  pick: (index: number | null) => void;
  /** A line was drawn around these points. */
  enclose: (points: Int32Array) => void;
}

/** Pixels that a pointer may move within a click. */
const CLICK = 4;
/** Pixels between two corners of a lasso. */
const STEP = 3;

/**
 * What pointer and wheel do on a cloud: dragging moves it, or with Shift (or while `drawsLasso` says so) draws a line around
 * points; two fingers and the wheel zoom; a click picks.
 *
 * @returns how to end it
 */
export function cloudGestures(
  canvas: HTMLCanvasElement,
  cloud: PointCloud,
  events: CloudEvents,
  drawsLasso: () => boolean,
): () => void {
  const pointers = new Map<number, readonly [number, number]>();
  let lasso: [number, number][] | null = null;
  let moved = 0;
  const placeOf = ({ clientX, clientY }: MouseEvent): [number, number] => {
    const { left, top } = canvas.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const gap = (a: readonly [number, number], b: readonly [number, number]) =>
    Math.hypot(a[0] - b[0], a[1] - b[1]);

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeOf(event));
    moved = 0;
    // A second finger ends what the first one drew.
    if (lasso) cloud.drawLasso([]);
    lasso = pointers.size === 1 && (event.shiftKey || drawsLasso()) ? [placeOf(event)] : null;
    events.hover(null);
  };
  const move = (event: PointerEvent) => {
    const place = placeOf(event);
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      if (pointers.size === 0) events.hover(cloud.at(...place));
      return;
    }
    moved += gap(before, place);
    pointers.set(event.pointerId, place);
    if (lasso) {
      if (gap(lasso.at(-1) ?? before, place) >= STEP) lasso.push(place);
      cloud.drawLasso([...lasso, place]);
      return;
    }
    const [first, second] = [...pointers.values()];
    if (first === undefined || second === undefined) cloud.pan(place[0] - before[0], place[1] - before[1]);
    else {
      const other = place === first ? second : first;
      cloud.zoom(
        gap(place, other) / Math.max(1, gap(before, other)),
        (place[0] + other[0]) / 2,
        (place[1] + other[1]) / 2,
      );
    }
  };
  const up = (event: PointerEvent) => {
    if (!pointers.delete(event.pointerId)) return;
    if (lasso && moved > CLICK && event.type === 'pointerup') events.enclose(cloud.enclosed(lasso));
    else if (moved <= CLICK && event.type === 'pointerup')
      events.pick(cloud.at(...placeOf(event))?.index ?? null);
    if (lasso) cloud.drawLasso([]);
    lasso = null;
  };
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    events.hover(null);
    cloud.zoom(2 ** (-event.deltaY / 200), ...placeOf(event));
  };
  const leave = () => events.hover(null);

  canvas.addEventListener('pointerdown', down);
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerup', up);
  canvas.addEventListener('pointercancel', up);
  canvas.addEventListener('pointerleave', leave);
  canvas.addEventListener('wheel', wheel, { passive: false });
  return () => {
    canvas.removeEventListener('pointerdown', down);
    canvas.removeEventListener('pointermove', move);
    canvas.removeEventListener('pointerup', up);
    canvas.removeEventListener('pointercancel', up);
    canvas.removeEventListener('pointerleave', leave);
    canvas.removeEventListener('wheel', wheel);
  };
}
