import { readFileSync } from 'node:fs';
import { type Command } from 'commander';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { nativeSignatures } from '../crypto/ed25519.ts';
import { parseRecordText, recordText, takeAll } from '../grant/anyRecord.ts';
import { standing } from '../grant/authorise.ts';
import { Authority } from '../grant/authority.ts';
import { type Grant } from '../grant/grant.ts';
import { grantLimits } from '../grant/limits.ts';
import { rightsOf } from '../grant/rights.ts';
import { fetchRecords } from './fetchRecords.ts';
import { grantLine, grantLines } from './grantLines.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { exitCodes, fileError, oneLine, print } from './io.ts';
import { readKeyFile } from './keyFile.ts';
import { makeGrant, patternsOf } from './makeGrant.ts';
import { withMesh, type InMesh } from './meshOption.ts';
import { MeshDirectory, refused } from './meshDirectory.ts';
import { checkRootKey, latestRoot } from './root.ts';

interface CreateOptions extends InMesh {
  readonly to: string;
  readonly rights: string;
  readonly pattern: string[];
  readonly depth: string;
  readonly days: string;
  readonly key?: string;
  readonly parent?: string;
}

/** Adds grant create, show, list, fetch and verify. */
export function grantCommands(program: Command): void {
  const grants = program.command('grant').description('signed grants of a mesh');
  withMesh(grants.command('create'))
    .description('give rights on keys to whoever holds a private key; prints the grant’s id')
    .requiredOption('--to <publicKey>', 'who gets it: 64 hex digits, as keygen prints them')
    .requiredOption('--rights <names>', 'read, write, delete, delegate, replicate, with commas between')
    .requiredOption('--pattern <patterns...>', 'keys: * is any one segment between slashes, ** any number of them')
    .option('--depth <links>', 'how many links may follow, with the right to delegate', '0')
    .option('--days <n>', 'from now; never beyond the parent’s end', '365')
    .option('--key <file>', 'private key of who gives it (default: the mesh directory’s root.key)')
    .option('--parent <id>', 'grant of who gives it, by its id’s first digits; without it the root gives it')
    .action(async (options: CreateOptions) => {
      print(toHex((await create(options)).id));
    });
  withMesh(grants.command('show <id>'))
    .description('what a grant says, and whether it stands')
    .option('--record', 'the lines of its chain instead, for others to verify')
    .action(async (id: string, { mesh, record }: InMesh & { record?: boolean }) => {
      const directory = await MeshDirectory.open(mesh);
      const grant = directory.grantOf(id);
      const lines = record === true ? chainTexts(directory, grant) : grantLines(directory.authority, grant, Date.now());
      for (const line of lines) print(line);
    });
  withMesh(grants.command('list'))
    .description('all grants, and whether they stand')
    .action(async ({ mesh }: InMesh) => {
      const { authority, refused: others } = await MeshDirectory.open(mesh);
      for (const grant of authority.grants()) print(grantLine(authority, grant, Date.now()));
      for (const { any, refusal } of others) print(`${toHex(any.record.id)}  ${any.kind}  ${refusal.code}: ${refusal.message}`);
    });
  withInstance(withMesh(grants.command('fetch')))
    .description(
      'put the grants and revocations that an instance of the mesh knows into the mesh directory, each verified from the mesh id',
    )
    .action(async (options: InMesh & InstanceOptions) => {
      const directory = await MeshDirectory.open(options.mesh);
      await using client = clientOf(options);
      const { added, known, refused: others, reasons } = await fetchRecords(client, directory);
      for (const reason of reasons) process.stderr.write(`gkvmesh: ${oneLine(reason)}\n`);
      print(`${added} new, ${known} known, ${others} refused`);
      if (others > 0) process.exitCode = exitCodes.failed;
    });
  grants
    .command('verify <file>')
    .description('verify the records in a file, a line each, from nothing but the mesh id; fails with the first that is refused')
    .requiredOption('--mesh-id <hex>', 'the mesh: 64 hex digits')
    .action(async (file: string, { meshId }: { meshId: string }) => {
      await verify(file, hexKey(meshId, '--mesh-id'));
    });
}

async function create(options: CreateOptions): Promise<Grant> {
  const directory = await MeshDirectory.open(options.mesh);
  const { authority } = directory;
  const key = readKeyFile(options.key ?? directory.rootKey);
  const parent = options.parent === undefined ? undefined : directory.grantOf(options.parent);
  if (parent !== undefined) {
    const answer = standing(authority, parent.id);
    if (answer.kind === 'refused') throw refused(answer.refusal);
  }
  const gift = {
    parent,
    to: hexKey(options.to, '--to'),
    rights: rightsOf(options.rights.split(',')),
    depth: wholeNumber(options.depth, '--depth', grantLimits.chainLinksMax - 1),
    days: wholeNumber(options.days, '--days', 36_500, 1), // of 0 it would have ended, where somebody may mean that it never does
    patterns: patternsOf(options.pattern),
  };
  const root = latestRoot(authority);
  if (parent === undefined) checkRootKey(root, key);
  const any = makeGrant(authority.meshId, root.body.version, gift, [key], Date.now());
  await directory.add(any);
  return directory.grantOf(toHex(any.record.id));
}

/** Root documents, then the chain from the root's grant on, in the text form. */
function chainTexts({ authority }: MeshDirectory, grant: Grant): string[] {
  const answer = standing(authority, grant.id);
  if (answer.kind === 'refused') throw refused(answer.refusal);
  const roots = authority.rootsAfter(0).map((record) => recordText({ kind: 'root', record }));
  return [...roots, ...answer.chain.map((record) => recordText({ kind: 'grant', record }))];
}

/** Records in one file. */
const fileBytesMax = 16_777_216;

async function verify(file: string, meshId: Uint8Array): Promise<void> {
  const text = readText(file);
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  const authority = new Authority(meshId, nativeSignatures());
  const [first] = await takeAll(
    authority,
    lines.map((line) => parseRecordText(line, meshId)),
  );
  if (first !== undefined) throw refused(first.refusal);
  for (const grant of authority.grants()) print(grantLine(authority, grant, Date.now()));
}

function readText(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file === '-' ? 0 : file);
  } catch (cause) {
    throw fileError(file, 'cannot be read', cause);
  }
  if (bytes.length > fileBytesMax)
    throw new GkvError('too_large', `${file} has ${bytes.length} bytes: at most ${fileBytesMax} are allowed`);
  return bytes.toString('utf8');
}

/** Error: `bad_config`, with the option's name. */
export function hexKey(text: string, option: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new GkvError('bad_config', `${option}: ${JSON.stringify(text.slice(0, 80))} is not 64 lower-case hex digits`);
  return Buffer.from(text, 'hex');
}

function wholeNumber(text: string, option: string, max: number, min = 0): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
  throw new GkvError('bad_config', `${option}: ${JSON.stringify(text.slice(0, 40))} is not a whole number from ${min} to ${max}`);
}
