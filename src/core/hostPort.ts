/** Where something listens. */
export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  /** 0..65,535; to listen on 0 is to listen on any free port. */
  readonly port: number;
}

/** What a text must be, after "is not". */
export const hostPortIs = 'HOST:PORT, such as 127.0.0.1:6300 or [::1]:6300';

/** HOST:PORT, with IPv6 in brackets; undefined for anything else. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** What `parseHostPort` reads. */
export function hostPortText({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
