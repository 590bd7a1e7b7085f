import { type IncomingHttpHeaders } from 'node:http';
import { GkvError } from '../core/errors.ts';

/** What a server that knows no passwords listens on. Beyond loopback it was told to (`--insecure-plaintext`). */
export type Exposure = 'loopback' | 'network';

const loopbackName = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const ipName = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]|localhost)(?::\d{1,5})?$/i;

/**
 * No web page may reach an unauthenticated server: a page of another site shows in Origin or Sec-Fetch-Site, and a name that was
 * made to point here (DNS rebinding) shows in Host. Error: `origin_denied`.
 */
export function checkOrigin(headers: IncomingHttpHeaders, exposure: Exposure): void {
  const { host, origin } = headers;
  const allowed = exposure === 'loopback' ? loopbackName : ipName;
  if (host === undefined || !allowed.test(host)) {
    throw new GkvError('origin_denied', `Host ${JSON.stringify((host ?? '').slice(0, 100))} does not name this server by its address`);
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new GkvError('origin_denied', `Origin ${JSON.stringify(origin.slice(0, 100))} is another site`);
  }
  const site = headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') throw new GkvError('origin_denied', 'the request comes from a page of another site');
}
