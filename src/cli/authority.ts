import { type Command } from 'commander';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { parseKey, type Key } from '../core/key.ts';
import { authorise } from '../grant/authorise.ts';
import { type Grant } from '../grant/grant.ts';
import { namesOf, parseRight, rightsKnown } from '../grant/rights.ts';
import { grantLine } from './grantLines.ts';
import { hexKey } from './grants.ts';
import { keyBytes, print } from './io.ts';
import { readKeyFile } from './keyFile.ts';
import { MeshDirectory, refused } from './meshDirectory.ts';
import { withMesh, type InMesh } from './meshOption.ts';
import { fromVariable } from './variable.ts';

interface CanOptions extends InMesh {
  readonly right: string;
  readonly grant?: string;
  readonly holder?: string;
  readonly base64?: boolean;
}

/** Adds can and whoami. */
export function authorityCommands(program: Command): void {
  withMesh(program.command('can <key>'))
    .description('whether a right may be used on a key now: by which chain, or which check fails')
    .option('--grant <id>', 'under this grant, by its id’s first digits')
    .option('--holder <publicKey>', 'under any grant that this key holds')
    .option('--right <name>', namesOf(rightsKnown).join(', '), 'write')
    .option('--base64', 'the key is base64')
    .action(async (key: string, options: CanOptions) => {
      await can(parseKey(keyBytes(key, options)), options);
    });
  program
    .command('whoami <file>')
    .description('the public key of a private one, and the grants that it holds')
    .addOption(fromVariable('--mesh <dir>', 'the mesh directory to look in for them', 'GKVMESH_MESH'))
    .action(async (file: string, { mesh }: { mesh?: string }) => {
      const { publicKey } = readKeyFile(file);
      print(toHex(publicKey));
      if (mesh === undefined) return;
      const { authority } = await MeshDirectory.open(mesh);
      for (const grant of authority.grants())
        if (equalBytes(grant.body.audience, publicKey)) print(grantLine(authority, grant, Date.now()));
    });
}

async function can(key: Key, options: CanOptions): Promise<void> {
  const directory = await MeshDirectory.open(options.mesh);
  const { authority } = directory;
  const question = { right: parseRight(options.right), key, atMs: Date.now() };
  const answers = grantsOf(directory, options).map(({ id }) => authorise(authority, id, question));
  const answer = answers.find(({ kind }) => kind === 'allowed') ?? answers[0];
  if (answer === undefined) throw new GkvError('grant_unknown', 'this key holds no grant that is known');
  if (answer.kind === 'refused') throw refused(answer.refusal);
  for (const grant of answer.chain) print(grantLine(authority, grant, Date.now()));
}

function grantsOf(directory: MeshDirectory, { grant, holder }: CanOptions): readonly Grant[] {
  if (grant !== undefined && holder === undefined) return [directory.grantOf(grant)];
  if (grant !== undefined || holder === undefined) throw new GkvError('bad_config', 'say --grant or --holder, one of them');
  const key = hexKey(holder, '--holder');
  return directory.authority.grants().filter(({ body }) => equalBytes(body.audience, key));
}
