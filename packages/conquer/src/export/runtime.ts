import type { InferenceSession, Tensor } from 'onnxruntime-node';

type Runtime = typeof import('onnxruntime-node');

/** A graph that runs in onnxruntime. */
export class RunningGraph {
  private constructor(
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
  ) {}

  /**
   * @param graph path of an .onnx file, or its bytes
   * @returns null where onnxruntime-node, an optional dependency, is not installed
   */
  static async open(graph: string | Uint8Array): Promise<RunningGraph | null> {
    let runtime: Runtime;
    try {
      runtime = await import('onnxruntime-node');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return null;
      throw error;
    }
    // The types know a path and bytes as two functions.
    const session = await runtime.InferenceSession.create(graph as string, { logSeverityLevel: 3 });
    return new RunningGraph(runtime, session);
  }

  /** Numbers in, the rows out: (batch × D). */
  async rows(data: Float32Array | Uint8Array, shape: readonly number[]): Promise<Float32Array> {
    const [input] = this.session.inputNames;
    const [output] = this.session.outputNames;
    const type = data instanceof Uint8Array ? 'uint8' : 'float32';
    const tensor = new this.runtime.Tensor(type as 'float32', data as Float32Array, shape);
    const results = await this.session.run({ [input as string]: tensor });
    return (results[output as string] as Tensor).data as Float32Array;
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}
