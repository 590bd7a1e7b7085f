import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Command } from 'commander';
import { toHex } from '../core/bytes.ts';
import { statementId, signStatement } from '../grant/record.ts';
import { rightsKnown } from '../grant/rights.ts';
import { nonceBytes, rootLayout, type RootBody } from '../grant/root.ts';
import { grantLimits } from '../grant/limits.ts';
import { print } from './io.ts';
import { makeKeyFile } from './keyFile.ts';
import { makeGrant, patternsOf } from './makeGrant.ts';
import { MeshDirectory } from './meshDirectory.ts';

/** Days for which the first cluster may hold its grant. */
const clusterDays = 3_650;

/** Adds init and keygen. */
export function initCommands(program: Command): void {
  program
    .command('init <dir>')
    .description('make a mesh: its root key, id and key, and the first cluster’s key with a grant of everything')
    .action(async (dir: string) => {
      await init(dir);
    });
  program
    .command('keygen <file>')
    .description('make a private key (Ed25519) in a new file, and print its public key, to which others give grants')
    .action((file: string) => {
      print(toHex(makeKeyFile(file).publicKey));
    });
}

async function init(dir: string): Promise<void> {
  const paths = MeshDirectory.make(dir);
  const root = makeKeyFile(paths.rootKey);
  const cluster = makeKeyFile(paths.clusterKey);
  const body: RootBody = {
    version: 1,
    previous: new Uint8Array(32),
    nonce: randomBytes(nonceBytes),
    threshold: 1,
    keys: [root.publicKey],
    carried: [],
  };
  const meshId = statementId(rootLayout, new Uint8Array(0), body);
  const document = { kind: 'root', record: signStatement(rootLayout, meshId, body, [root]) } as const;
  const gift = {
    parent: undefined,
    to: cluster.publicKey,
    rights: rightsKnown,
    depth: grantLimits.chainLinksMax - 1,
    days: clusterDays,
    patterns: patternsOf(['**']),
  };
  const grant = makeGrant(meshId, body.version, gift, [root], Date.now());
  await MeshDirectory.begin(dir, meshId, [document, grant]);
  print(`mesh      ${toHex(meshId)}`);
  print(`cluster   ${toHex(cluster.publicKey)} holds grant ${toHex(grant.record.id)}`);
  print(`Move ${join(dir, 'root.key')} to where no server reads it: whoever has it is the mesh. Next:`);
  print(`  gkvmesh keygen app.key`);
  print(`  gkvmesh grant create --mesh ${dir} --to KEY --rights read,write --pattern '/app/**'`);
}
