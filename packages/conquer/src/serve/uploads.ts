import type { ServeLimits } from './limits.js';
import { Problem } from './problem.js';

/** What a request brought. */
export interface Upload {
  /** Bytes of image files, in their order. */
  images: Uint8Array[];
  /** The text fields beside them, each the last of its name. */
  fields: ReadonlyMap<string, string>;
}

const EXPECTED =
  'expected an image as the body (Content-Type: image/…, or application/octet-stream), or a form (multipart/form-data) with a part "image" for each';

/**
 * The images of a request: one as its body, or the parts named `image` of a form.
 *
 * @param known names of the text fields that may stand beside them
 * @throws Problem 415 for another kind of body, 400 for one that is empty or no form, 413 for more images than are taken
 */
export async function uploadOf(
  request: Request,
  { images: most }: Pick<ServeLimits, 'images'>,
  known: readonly string[] = [],
): Promise<Upload> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  if (type === 'multipart/form-data') return await formOf(request, most, known);
  if (!type.startsWith('image/') && type !== 'application/octet-stream')
    throw new Problem(415, `${EXPECTED}; got ${type === '' ? 'no Content-Type' : type}`);
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length === 0) throw new Problem(400, `${EXPECTED}; got an empty body`);
  return { images: [bytes], fields: new Map() };
}

async function formOf(request: Request, most: number, known: readonly string[]): Promise<Upload> {
  let form: FormData;
  try {
    form = await request.formData();
  } catch (error) {
    // A limit that was met on the way is no fault of the form.
    if ((error as Error).name === 'BodyLimitError' || error instanceof Problem) throw error;
    throw new Problem(400, `the form cannot be read: ${(error as Error).message.split('\n')[0]}`);
  }
  const files: Blob[] = [];
  const fields = new Map<string, string>();
  for (const [name, value] of form) {
    if (typeof value !== 'string' && name === 'image') files.push(value);
    else if (typeof value === 'string' && known.includes(name)) fields.set(name, value);
    else {
      const parts = ['files named image', ...known.map((each) => `the text ${each}`)].join(', ');
      throw new Problem(
        400,
        `expected as parts of the form ${parts}; got the ${typeof value === 'string' ? 'text' : 'file'} ${name}`,
      );
    }
  }
  if (files.length === 0) throw new Problem(400, `${EXPECTED}; got a form without an image`);
  if (files.length > most)
    throw new Problem(413, `expected at most ${most} images in a request, got ${files.length}`);
  const images = await Promise.all(files.map(async (file) => new Uint8Array(await file.arrayBuffer())));
  const empty = images.findIndex(({ length }) => length === 0);
  if (empty >= 0) throw new Problem(400, `image ${empty + 1} of the form is empty`);
  return { images, fields };
}
