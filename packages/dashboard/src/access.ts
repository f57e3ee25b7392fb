import { randomBytes, timingSafeEqual } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { UserError } from '@conquer-dml/run';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Shorter ones can be guessed over a network. */
const MIN_TOKEN = 16;

export const isLoopback = (host: string): boolean => LOOPBACK.has(host);

/**
 * The token that requests must bring: the given one or, where the page is open to other machines, one drawn here.
 * null: none is needed, as only this machine reaches the page.
 *
 * @throws UserError for a token that is too short
 */
export function tokenFor(host: string, given: string | undefined): string | null {
  if (given === undefined) return isLoopback(host) ? null : randomBytes(18).toString('base64url');
  if (given.length < MIN_TOKEN || !/^[\w-]+$/.test(given)) {
    throw new UserError(
      `expected a token of at least ${MIN_TOKEN} letters, digits, - and _; leave it out to have one drawn`,
    );
  }
  return given;
}

/**
 * Whether a request's Host header names this server. A page elsewhere whose name was made to point here (DNS
 * rebinding) sends its own name, and is refused.
 */
export function isOwnHost(header: string | undefined, host: string): boolean {
  if (header === undefined) return false;
  let url: URL;
  try {
    url = new URL(`http://${header}`);
  } catch {
    return false;
  }
  // Of any port: one that is forwarded (ssh -L) may have another number.
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isLoopback(name)) return true;
  if (isLoopback(host)) return false;
  const addresses = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  const own = [host, hostname(), ...addresses.map(({ address }) => address)];
  return own.some((known) => known.toLowerCase() === name);
}

export function sameToken(given: string | undefined, token: string): boolean {
  if (given === undefined) return false;
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** What a page of this server may do: run its own script and talk to this server, nothing else. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
