import { readFileSync } from 'node:fs';
import { type Command } from 'commander';
import { Client } from '../client/client.ts';
import { type ClientTls } from '../client/tls.ts';
import { fileError } from './io.ts';
import { fromVariable } from './variable.ts';

/** Which instance a command talks to, and how. */
export interface InstanceOptions {
  readonly url: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string | undefined;
  readonly tokenFile?: string;
}

/** Adds the options. `keyOption`: what names our private key in TLS, where `--key` is another. */
export function withInstance(command: Command, keyOption: '--key' | '--tls-key' = '--key'): Command {
  return command
    .addOption(fromVariable('--url <url>', 'the instance', 'GKVMESH_URL').default('http://localhost:6300'))
    .addOption(fromVariable('--ca <file>', 'with an https URL: CAs of its certificate, PEM; the well-known ones if absent', 'GKVMESH_CA'))
    .addOption(fromVariable('--cert <file>', 'with an https URL: our certificate, PEM', 'GKVMESH_CERT'))
    .addOption(fromVariable(`${keyOption} <file>`, 'with an https URL: its private key, PEM', 'GKVMESH_KEY'))
    .addOption(fromVariable('--token-file <file>', 'a bearer token that the instance takes', 'GKVMESH_TOKEN_FILE'));
}

/** Error: `bad_config`. */
export function clientOf({ url, ca, cert, key, tokenFile }: InstanceOptions): Client {
  const tls: ClientTls = { ...contentOf('ca', ca), ...contentOf('cert', cert), ...contentOf('key', key) };
  return new Client(url, tls, contentOf('token-file', tokenFile)['token-file']?.trim());
}

function contentOf<Name extends string>(name: Name, path: string | undefined): Partial<Record<Name, string>> {
  if (path === undefined) return {};
  try {
    return { [name]: readFileSync(path, 'utf8') } as Record<Name, string>; // TypeScript widens a computed name
  } catch (cause) {
    throw fileError(`--${name}: ${path}`, 'cannot be read', cause);
  }
}
