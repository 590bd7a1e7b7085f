import { type Client } from '../client/client.ts';
import { recordsOf, type ToldRecord } from '../client/records.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { encodeAny, knownAs, parseRecordText, take, type AnyRecord } from '../grant/anyRecord.ts';
import { type Authority } from '../grant/authority.ts';
import { ledgerBounds, Places, type LedgerBounds } from '../grant/places.ts';
import { refused as errorOf, type MeshDirectory } from './meshDirectory.ts';

/** What became of the records that an instance told. */
export interface Fetched {
  /** That have a file now. */
  readonly added: number;
  /** That change nothing. */
  readonly known: number;
  /** Not taken in, or not kept. */
  readonly refused: number;
  /** Why, a line each: of the first `reasonsMax` of these. */
  readonly reasons: readonly string[];
}

const reasonsMax = 10;

/**
 * Puts into a mesh directory what an instance knows of the mesh's authority and the directory does not. Each record is verified from the mesh id, on those before
 * it, as one that lies there: nothing rests on the instance's word but that there is no more. There is room for as many as in a ledger, so that each can be revoked.
 * Nothing is written before all has come. Errors: as of `recordsOf`; `mesh_mismatch`; `too_large` for more than a directory may have.
 */
export async function fetchRecords(client: Client, directory: MeshDirectory, bounds: LedgerBounds = ledgerBounds): Promise<Fetched> {
  const { authority } = directory;
  const theirs = await client.meshId();
  if (!equalBytes(theirs, authority.meshId))
    throw new GkvError('mesh_mismatch', `the instance is of mesh ${toHex(theirs)}, the directory of ${toHex(authority.meshId)}`);
  const places = new Places(bounds);
  for (const record of authority.grants()) places.take(authority, { kind: 'grant', record });
  const taken: AnyRecord[] = [];
  const reasons: string[] = [];
  let [known, refused] = [0, 0];
  const refuse = (reason: string): void => {
    refused += 1;
    if (reasons.length < reasonsMax) reasons.push(reason);
  };
  for await (const told of recordsOf(client)) {
    const found = await judge(authority, places, told);
    if (found === undefined) known += 1;
    else if (found instanceof GkvError) refuse(`record ${told.number}: ${found.code}: ${found.message}`);
    else taken.push(found);
  }
  const { written, inTheWay } = directory.keep(taken);
  for (const { kind, record } of inTheWay)
    refuse(`${toHex(record.id)}.${kind}: there is such a file, with something else in it: move it away and fetch again`);
  return { added: written, known: known + taken.length - written - inTheWay.length, refused, reasons };
}

/** As it is to be kept, with the signatures that count; undefined: it changes nothing. Or why it is refused. */
async function judge(authority: Authority, places: Places, { kind, record }: ToldRecord): Promise<AnyRecord | undefined | GkvError> {
  let any: AnyRecord;
  try {
    any = parseRecordText(`${kind}:${record}`, authority.meshId);
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large')) return error;
    throw error;
  }
  const before = knownAs(authority, any);
  if (before !== undefined && equalBytes(encodeAny(before), encodeAny(any))) return undefined;
  const noRoom = before === undefined && any.kind === 'grant' ? places.refusalOf(authority, any.record, 'peer') : undefined;
  const refusal = noRoom ?? (await take(authority, any));
  if (refusal !== undefined) return errorOf(refusal);
  const after = before === undefined ? knownAs(authority, any) : undefined;
  if (after !== undefined) places.take(authority, after);
  return after;
}
