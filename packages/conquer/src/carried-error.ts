import { ImageError } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import {
  OutOfMemoryError,
  ProcessGroupError,
  SerializationError,
  SetupError,
  TorchError,
} from '@conquer-dml/torch';
import { Interrupted } from './interrupted.js';
import { OptionError } from './option-error.js';

/** An error on its way from one thread to another, where only plain data arrive. */
export interface CarriedError {
  name: string;
  message: string;
  stack: string | undefined;
  /** Its own fields, such as an OptionError's path. */
  fields: Record<string, unknown>;
  cause: CarriedError | undefined;
}

// A class before those that it extends.
const classes = {
  OptionError,
  UserError,
  ImageError,
  SerializationError,
  SetupError,
  ProcessGroupError,
  OutOfMemoryError,
  TorchError,
  Interrupted,
  RangeError,
  TypeError,
};

/** The class that an error is caught by: what a mistake is of a user is told by it. */
function classOf(error: Error): string {
  const known = Object.entries(classes).find(([, Class]) => error instanceof Class);
  return known?.[0] ?? 'Error';
}

export function carried(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { ...carried(new Error(String(error))), stack: undefined };
  const plain = Object.entries(error).filter(([, value]) => ['string', 'number'].includes(typeof value));
  return {
    name: classOf(error),
    message: error.message,
    stack: error.stack,
    fields: { ...Object.fromEntries(plain), name: error.name },
    cause: error.cause === undefined ? undefined : carried(error.cause),
  };
}

/** The error as it was thrown. */
export function arrived({ name, message, stack, fields, cause }: CarriedError): Error {
  const Class = (classes as Record<string, { prototype: object }>)[name] ?? Error;
  const error: Error = Object.create(Class.prototype);
  const hidden = { configurable: true, writable: true, enumerable: false };
  Object.defineProperty(error, 'message', { ...hidden, value: message });
  Object.defineProperty(error, 'stack', { ...hidden, value: stack });
  if (cause) Object.defineProperty(error, 'cause', { ...hidden, value: arrived(cause) });
  return Object.assign(error, fields);
}
