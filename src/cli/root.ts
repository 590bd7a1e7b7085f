import { randomBytes } from 'node:crypto';
import { type Command } from 'commander';
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { parseRecordText, recordText } from '../grant/anyRecord.ts';
import { standing } from '../grant/authorise.ts';
import { type Authority } from '../grant/authority.ts';
import { isZero } from '../grant/grant.ts';
import { signStatement } from '../grant/record.ts';
import { nonceBytes, rootLayout, type RootBody, type RootDocument } from '../grant/root.ts';
import { print } from './io.ts';
import { makeKeyFile, readKeyFile } from './keyFile.ts';
import { MeshDirectory } from './meshDirectory.ts';
import { withMesh, type InMesh } from './meshOption.ts';

interface RotateOptions extends InMesh {
  readonly key?: string;
  readonly drop?: string[];
}

/** Adds root show and rotate. */
export function rootCommands(program: Command): void {
  const root = program.command('root').description('the keys from which all authority of a mesh comes');
  withMesh(root.command('show'))
    .description('all root documents: version, id, how many of which keys must sign')
    .action(async ({ mesh }: InMesh) => {
      const { authority } = await MeshDirectory.open(mesh);
      for (const document of authority.rootsAfter(0)) print(rootLine(document));
    });
  withMesh(root.command('rotate <file>'))
    .description(
      'make a new root key in a new file, which takes the place of those before; what the root gave and stands in this directory is carried over, all else ends',
    )
    .option('--key <file>', 'the root key of now (default: the mesh directory’s root.key)')
    .option('--drop <ids...>', 'grants of the root that are not carried over, and so end, by their ids’ first digits')
    .action(async (file: string, options: RotateOptions) => {
      print(toHex(await rotate(file, options)));
    });
}

async function rotate(file: string, { mesh, key, drop = [] }: RotateOptions): Promise<Uint8Array> {
  const directory = await MeshDirectory.open(mesh);
  const { authority } = directory;
  const latest = latestRoot(authority);
  const old = readKeyFile(key ?? directory.rootKey);
  checkRootKey(latest, old);
  const dropped = drop.map((prefix) => directory.grantOf(prefix).id);
  const carried = rootGrantsOf(authority).filter((id) => !dropped.some((other) => equalBytes(other, id)));
  const fresh = makeKeyFile(file);
  const body: RootBody = {
    version: latest.body.version + 1,
    previous: latest.id,
    nonce: randomBytes(nonceBytes),
    threshold: 1,
    keys: [fresh.publicKey],
    carried: carried.sort(compareBytes),
  };
  const record = signStatement(rootLayout, authority.meshId, body, [old, fresh]);
  await directory.add(parseRecordText(recordText({ kind: 'root', record }), authority.meshId)); // refuses what is not its shape
  return record.id;
}

/** Error: `grant_revoked` where the root is forked there. */
export function latestRoot(authority: Authority): RootDocument {
  const all = authority.rootsAfter(0);
  const version = all.reduce((greatest, { body }) => Math.max(greatest, body.version), 1);
  const [latest, fork] = authority.rootsOf(version);
  if (latest === undefined) throw new GkvError('root_unknown', 'the mesh directory has no root document');
  if (fork !== undefined) throw new GkvError('grant_revoked', `there are several root documents ${version}`);
  return latest;
}

/** Error: `threshold` where the key does not sign for the root, or not alone. */
export function checkRootKey({ body }: RootDocument, key: SigningKey): void {
  if (body.threshold === 1 && body.keys.some((known) => equalBytes(known, key.publicKey))) return;
  const why = `root document ${body.version} needs ${body.threshold} of its keys, and ${toHex(key.publicKey)} is not enough`;
  throw new GkvError('threshold', `${why}: name the root key of now with --key; gkvmesh root show tells which it is`);
}

/** Ids of what the root has given and stands. */
function rootGrantsOf(authority: Authority): Uint8Array[] {
  const given = authority.grants().filter(({ body }) => isZero(body.parent));
  return given.filter(({ id }) => standing(authority, id).kind === 'allowed').map(({ id }) => id);
}

function rootLine({ id, body }: RootDocument): string {
  const keys = body.keys.map((key) => toHex(key)).join(', ');
  return `${body.version}  ${toHex(id)}  ${body.threshold} of ${keys}  carries ${body.carried.length} grants over`;
}
