import { type IncomingHttpHeaders } from 'node:http';
import { GkvError } from '../core/errors.ts';

/**
 * Which names a request may call this server by. `loopback`: only localhost, 127.0.0.0/8 and [::1], so that no web page
 * reaches us under a name of its own (DNS rebinding). `any-ip`, for listening beyond loopback: every literal address too, because a page
 * can rebind its own name, and no address. `any`, for the mesh port beyond loopback: no check of names, see mesh.ts.
 * `names` are allowed always.
 */
export interface HostRule {
  readonly kind: 'loopback' | 'any-ip' | 'any';
  readonly names: readonly string[];
}

const knownHostsMax = 256;

/** Lets no web page of another site in: checks Host, Origin and Sec-Fetch-Site. It takes the place of authentication on loopback. */
export class Gate {
  readonly #rule: HostRule;
  readonly #known = new Set<string>();

  constructor(rule: HostRule) {
    this.#rule = rule;
  }

  /** Errors: `origin_denied`; `malformed` where it names no host. */
  check(headers: IncomingHttpHeaders): void {
    const { host } = headers;
    if (host === undefined) throw new GkvError('malformed', 'the request has no Host');
    if (!this.#known.has(host)) this.#admit(host);
    const origin = headers.origin;
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw new GkvError('origin_denied', `Origin ${quote(origin)} is not this server, which is called http://${host}`);
    }
    const site = headers['sec-fetch-site'];
    if (site === 'cross-site' || site === 'same-site') {
      throw new GkvError('origin_denied', `a page of another site asked for this: Sec-Fetch-Site is ${site}`);
    }
  }

  #admit(host: string): void {
    if (!isAllowed(host, this.#rule)) {
      const right = ['localhost', '127.0.0.1', '[::1]', ...(this.#rule.kind === 'any-ip' ? ['any IP address'] : []), ...this.#rule.names];
      throw new GkvError('origin_denied', `Host ${quote(host)} is not this server; call it ${right.join(', ')}, or name it in hostNames`);
    }
    if (this.#known.size >= knownHostsMax) this.#known.clear();
    this.#known.add(host);
  }
}

const octet = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ipv4 = new RegExp(`^${octet}(\\.${octet}){3}$`);

function isAllowed(host: string, rule: HostRule): boolean {
  if (rule.kind === 'any') return true;
  const name = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(:\d{1,5})?$/.exec(host)?.[1]?.toLowerCase();
  if (name === undefined) return false;
  if (name === 'localhost' || name === '[::1]' || rule.names.some((allowed) => allowed.toLowerCase() === name)) return true;
  if (ipv4.test(name)) return rule.kind === 'any-ip' || name.startsWith('127.');
  return rule.kind === 'any-ip' && name.startsWith('[');
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
