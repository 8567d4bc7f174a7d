/** Decides who may talk to the page's server, and sets the headers for browsers. Pure. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Headers of every answer. The page has no inline script or style, and loads nothing from elsewhere. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Without a referrer, browsers send 'Origin: null' with a form.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export interface Listen {
  readonly address: string;
  readonly port: number;
}

/** Parses 'ADDRESS:PORT', with an IPv6 address in brackets; undefined if it is not valid. */
export function parseListen(text: string): Listen | undefined {
  const [, v4, v6, port = ''] = /^(?:([\d.]+)|\[([\da-fA-F:]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const address = v4 ?? v6;
  if (address === undefined || Number(port) > 65535) return undefined;
  if (v4 !== undefined && !/^(\d{1,3}\.){3}\d{1,3}$/.test(v4)) return undefined;
  return { address, port: Number(port) };
}

export function isLoopback({ address }: Listen): boolean {
  return address.startsWith('127.') || address === '::1';
}

/**
 * The allowed values of Host. A name that another site points to our address (DNS rebinding) is not
 * among them.
 * @param names further names, for example of a proxy
 */
export function allowedHosts({ address, port }: Listen, names: readonly string[]): ReadonlySet<string> {
  const own = isLoopback({ address, port }) ? ['127.0.0.1', 'localhost', '[::1]'] : [];
  const bracketed = address.includes(':') ? `[${address}]` : address;
  return new Set(
    [...own, bracketed, ...names].flatMap((name) => [
      `${name}:${port}`,
      ...(port === 80 ? [name] : []),
      ...(names.includes(name) ? [name] : []),
    ]),
  );
}

/** The reason why a request is refused; undefined if it is not. */
export function refusal(headers: IncomingHttpHeaders, hosts: ReadonlySet<string>): string | undefined {
  const { host, origin } = headers;
  if (host === undefined || !hosts.has(host.toLowerCase())) return 'this name is not served here: see --host';
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    return 'asked for by another site';
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'asked for by another site';
  return undefined;
}

const COOKIE = 'bpfns-web';

/** Compares in constant time. */
export function isToken(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

/** What the browser keeps instead of the token itself. */
export function cookieOf(token: string): string {
  const value = createHash('sha256').update(`bpfns-web ${token}`).digest('hex');
  return `${COOKIE}=${value}; HttpOnly; SameSite=Strict; Path=/`;
}

/** Whether the request comes from a browser that has presented the token. */
export function hasCookie(headers: IncomingHttpHeaders, token: string): boolean {
  const [expected = ''] = cookieOf(token).split(';');
  return (headers.cookie ?? '').split(/; */).some((each) => isToken(each, expected));
}
