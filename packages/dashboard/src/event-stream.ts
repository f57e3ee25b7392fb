import type { DashboardEvent } from './api.js';

const MAX_LISTENERS = 64;
/** Bytes that a listener may be behind before it is let go; its page connects again and fetches anew. */
const MAX_BEHIND = 16 << 20;
const HEARTBEAT = 15_000;

/** Server-sent events to any number of open pages. */
export class EventStream {
  private readonly listeners = new Set<{ controller: ReadableStreamDefaultController<Uint8Array> }>();
  private readonly encoder = new TextEncoder();
  private readonly heartbeat = setInterval(() => this.write(': alive\n\n'), HEARTBEAT).unref();

  get size(): number {
    return this.listeners.size;
  }

  /** A response body that takes part from now on; null when there are too many. */
  listen(): ReadableStream<Uint8Array> | null {
    if (this.listeners.size >= MAX_LISTENERS) return null;
    let listener: { controller: ReadableStreamDefaultController<Uint8Array> };
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          listener = { controller };
          this.listeners.add(listener);
          controller.enqueue(this.encoder.encode('retry: 2000\n\n'));
        },
        cancel: () => {
          this.listeners.delete(listener);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MAX_BEHIND }),
    );
  }

  send(event: DashboardEvent): void {
    // JSON has no line breaks of its own.
    this.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  private write(text: string): void {
    const bytes = this.encoder.encode(text);
    for (const listener of this.listeners) {
      const { controller } = listener;
      if ((controller.desiredSize ?? 0) > 0) {
        controller.enqueue(bytes);
        continue;
      }
      this.listeners.delete(listener);
      controller.error(new Error('too far behind'));
    }
  }

  close(): void {
    clearInterval(this.heartbeat);
    for (const { controller } of this.listeners) controller.close();
    this.listeners.clear();
  }
}
