import { GkvError } from '../core/errors.ts';

/** Where something listens. `host` without brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT, with IPv6 in brackets. Errors: `malformed`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new GkvError('malformed', `${JSON.stringify(text.slice(0, 100))} is not HOST:PORT, such as 127.0.0.1:6200 or [::1]:6200`);
  }
  return { host, port };
}
