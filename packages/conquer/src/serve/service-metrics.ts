import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ServiceClient } from './service-client.js';

/** Seconds. */
const LATENCIES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What Prometheus is told at /metrics; the process's own memory and processor time too. */
export class ServiceMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: 'conquer_requests_total',
    help: 'Requests answered, by route and status',
    labelNames: ['route', 'status'],
    registers: [this.#registry],
  });
  readonly #seconds = new Histogram({
    name: 'conquer_request_seconds',
    help: 'Seconds from a request to its answer, by route',
    labelNames: ['route'],
    buckets: LATENCIES,
    registers: [this.#registry],
  });
  readonly #images = new Counter({
    name: 'conquer_embedded_images_total',
    help: 'Images that went through the network',
    registers: [this.#registry],
  });
  readonly #batches = new Histogram({
    name: 'conquer_batch_images',
    help: 'Images that went through the network together',
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registers: [this.#registry],
  });
  readonly #batchSeconds = new Histogram({
    name: 'conquer_batch_seconds',
    help: 'Seconds from the bytes of a batch of images to its answers',
    buckets: LATENCIES,
    registers: [this.#registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Has what waits and what the index holds read when they are asked for. */
  watch(client: Pick<ServiceClient, 'waitingImages' | 'info'>): void {
    new Gauge({
      name: 'conquer_waiting_images',
      help: 'Images that wait for the network',
      registers: [this.#registry],
      collect() {
        this.set(client.waitingImages);
      },
    });
    new Gauge({
      name: 'conquer_index_items',
      help: 'Items of the index; 0 without one',
      registers: [this.#registry],
      collect() {
        this.set(client.info.index?.items ?? 0);
      },
    });
  }

  answered(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status });
    this.#seconds.observe({ route }, seconds);
  }

  batch(images: number, seconds: number): void {
    this.#images.inc(images);
    this.#batches.observe(images);
    this.#batchSeconds.observe(seconds);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}
