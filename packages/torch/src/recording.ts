/** A call of an operator, as soon as it has its result. */
export interface OperatorCall {
  /** As in ATen's schema: `add.Tensor`, `conv2d`, `add_.Tensor`. */
  operator: string;
  /** As they were given, in the schema's order; those left out are not there. */
  args: readonly unknown[];
  /** A tensor, or several; of an operator that works in place the very tensor it was given. */
  result: unknown;
}

let listener: ((call: OperatorCall) => void) | null = null;

/**
 * Runs `body` and tells of every ATen operator that it calls, in their order. What is no operator is not told of: numbers that
 * are read out (`item`, `toTypedArray`), tensors made of them, and the few functions of this package's own C++ that training
 * has. Networks run in the plain layout meanwhile.
 *
 * @throws Error inside of another recording
 */
export function recordOperators<T>(onCall: (call: OperatorCall) => void, body: () => T): T {
  if (listener !== null) throw new Error('recordOperators: another recording is under way');
  listener = onCall;
  try {
    return body();
  } finally {
    listener = null;
  }
}

/** Whether a recording is under way. */
export const isRecording = (): boolean => listener !== null;

/** Called by dispatch.ts for each operator: hands the result on. */
export function recorded(operator: string, args: readonly unknown[], result: unknown): unknown {
  listener?.({ operator, args, result });
  return result;
}
