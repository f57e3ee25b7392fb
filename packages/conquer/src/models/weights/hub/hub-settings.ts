import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';

/** Where a Hugging Face hub is, and where what was fetched from it is kept. */
export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** The folder of the repositories' folders. */
  cache: string;
  /** Who asks; null: nobody in particular. It goes to the hub alone, and into no message. */
  token: string | null;
  /** Nothing is asked of the hub. */
  offline: boolean;
}

const TRUE = new Set(['1', 'ON', 'YES', 'TRUE']);
const isTrue = (text: string | undefined) => TRUE.has((text ?? '').toUpperCase());

/**
 * What the environment says, by the variables that Python's huggingface_hub 1 and 2 read: `HF_ENDPOINT`, `HF_HUB_CACHE`,
 * `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE` and the older names of some.
 *
 * @throws UserError for an endpoint or a token that cannot be one
 */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const expanded = (path: string) => expandedPath(path, env);
  const caches = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const home = expanded(env.HF_HOME || join(caches, 'huggingface'));
  return {
    endpoint: endpointOf(env.HF_ENDPOINT || 'https://huggingface.co'),
    cache: expanded(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    token: isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)
      ? null
      : tokenOf(env, expanded(env.HF_TOKEN_PATH || join(home, 'token'))),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
  };
}

/** `~` and `$NAME` as Python reads them. */
function expandedPath(path: string, env: NodeJS.ProcessEnv): string {
  return path
    .replace(/^~(?=$|[/\\])/, homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced, bare) => env[braced ?? bare] ?? text);
}

function endpointOf(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UserError(`HF_ENDPOINT: expected an address such as https://huggingface.co, got '${text}'`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new UserError(`HF_ENDPOINT: expected an address of http or https, got '${text}'`);
  if (url.username !== '' || url.password !== '')
    throw new UserError('HF_ENDPOINT: expected an address without a password: a token goes into HF_TOKEN');
  return text.replace(/\/+$/, '');
}

function tokenOf(env: NodeJS.ProcessEnv, file: string): string | null {
  const given = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  const token = (given ?? contentOf(file)).replace(/[\r\n]/g, '').trim();
  if (token === '') return null;
  // A header that fetch() refuses would be in its message.
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UserError(
    `${given ? 'HF_TOKEN' : file}: expected a token such as hf_…, got something with blanks or signs that none has`,
  );
}

/** What `huggingface-cli login` left there; nothing is as good as no file. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
