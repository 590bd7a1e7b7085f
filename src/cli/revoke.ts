import { type Command } from 'commander';
import { Signer } from '../client/signer.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { take, type AnyRecord } from '../grant/anyRecord.ts';
import { type Authority } from '../grant/authority.ts';
import { type Grant } from '../grant/grant.ts';
import { signStatement } from '../grant/record.ts';
import { revocationLayout } from '../grant/revocation.ts';
import { adopt } from './adopt.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { print, Progress } from './io.ts';
import { readKeyFile } from './keyFile.ts';
import { MeshDirectory, refused } from './meshDirectory.ts';
import { withMesh, type InMesh } from './meshOption.ts';
import { type Signing } from './signing.ts';

interface RevokeOptions extends InMesh, InstanceOptions, Signing {
  readonly adopt?: boolean;
  readonly tlsKey?: string;
}

/** Adds revoke. */
export function revokeCommand(program: Command): void {
  withInstance(withMesh(program.command('revoke <id>')), '--tls-key')
    .description('end a grant and all that follows from it, for good and from its beginning; prints the revocation’s id')
    .option('--key <file>', 'private key of who gave it, holds it or holds one before it (default: the mesh directory’s root.key)')
    .option('--adopt', 'sign anew what is seen under it first, deletes not, with --sign-with and --grant, at the instance --url')
    .option('--sign-with <file>', 'for --adopt: the private key that signs')
    .option('--grant <id>', 'for --adopt: the grant of that key, by its id’s first digits')
    .action(async (id: string, options: RevokeOptions) => {
      if (options.adopt !== true && (options.signWith !== undefined || options.grant !== undefined))
        throw new GkvError('bad_config', '--sign-with and --grant: they are for --adopt');
      const directory = await MeshDirectory.open(options.mesh);
      const target = directory.grantOf(id);
      const key = readKeyFile(options.key ?? directory.rootKey);
      const revocation = revocationOf(directory.authority, target, key);
      if (options.adopt === true) {
        const refusal = await take(directory.authority.copy(), revocation);
        if (refusal !== undefined) throw refused(refusal); // before anything is signed for its sake
        await adoptFirst(directory, target, options);
      }
      await directory.add(revocation);
      print(toHex(revocation.record.id));
    });
}

function revocationOf(authority: Authority, { id: target }: Grant, key: SigningKey): AnyRecord {
  const roots = authority.rootsAfter(0).filter(({ body }) => body.keys.some((own) => equalBytes(own, key.publicKey)));
  const rootVersion = roots.reduce((latest, { body }) => Math.max(latest, body.version), 0);
  const signer = rootVersion > 0 ? new Uint8Array(32) : key.publicKey;
  const record = signStatement(revocationLayout, authority.meshId, { target, signer, rootVersion }, [key]);
  return { kind: 'revocation', record };
}

/** Errors: `bad_config` where the key or the grant cannot make what lives on. */
async function adoptFirst(directory: MeshDirectory, target: Grant, options: RevokeOptions): Promise<void> {
  const { signWith, grant, tlsKey } = options;
  if (signWith === undefined || grant === undefined) throw new GkvError('bad_config', '--adopt: say --sign-with and --grant too');
  const key = readKeyFile(signWith);
  const own = directory.grantOf(grant);
  if (!equalBytes(own.body.audience, key.publicKey))
    throw new GkvError('bad_config', '--grant: it is held by another key than that of --sign-with');
  if (restsOn(directory.authority, own, target)) throw new GkvError('bad_config', '--grant: it follows from the one that is to be revoked');
  const { meshId } = directory.authority;
  const signer = new Signer({ meshId, grantId: own.id, key, now: () => Date.now() });
  await using client = clientOf({ ...options, key: tlsKey }); // --key signs the revocation here
  const progress = new Progress('adopted');
  progress.finish(
    await adopt(client, signer, target, (keys) => {
      progress.update(keys);
    }),
  );
}

function restsOn(authority: Authority, leaf: Grant, target: Grant): boolean {
  for (let at: Grant | undefined = leaf; at !== undefined; at = authority.grant(at.body.parent))
    if (equalBytes(at.id, target.id)) return true;
  return false;
}
