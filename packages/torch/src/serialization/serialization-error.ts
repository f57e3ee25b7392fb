/** A file that cannot be read or written as asked: the message is one line that names the file and what is wrong. */
export class SerializationError extends Error {
  override name = 'SerializationError';
}

/** Text from a file, made fit for a message of one line: quoted, control characters escaped, not too long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
