import { type Command } from 'commander';
import { type Client } from '../client/client.ts';
import { Signer } from '../client/signer.ts';
import { GkvError } from '../core/errors.ts';
import { hexKey } from './grants.ts';
import { readKeyFile } from './keyFile.ts';

/** With which key writes are signed here, and under which grant of its holder. */
export interface Signing {
  readonly signWith?: string;
  readonly grant?: string;
}

/** Adds the options. */
export function withSigner(command: Command): Command {
  return command
    .option('--sign-with <file>', 'in a granted mesh: sign the write here, with this private key')
    .option('--grant <id>', 'the grant that it rests on: 64 hex digits');
}

/** Undefined: the server signs. Error: `bad_config`. */
export async function signerOf(client: Client, { signWith, grant }: Signing): Promise<Signer | undefined> {
  if (signWith === undefined && grant === undefined) return undefined;
  if (signWith === undefined || grant === undefined) throw new GkvError('bad_config', 'say both --sign-with and --grant, or neither');
  const key = readKeyFile(signWith);
  const grantId = hexKey(grant, '--grant');
  return new Signer({ meshId: await client.meshId(), grantId, key, now: () => Date.now() });
}
