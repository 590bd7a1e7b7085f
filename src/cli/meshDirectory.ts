import { mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { nativeSignatures } from '../crypto/ed25519.ts';
import { parseRecordText, recordText, take, takeAll, type AnyRecord } from '../grant/anyRecord.ts';
import { Authority } from '../grant/authority.ts';
import { type Grant } from '../grant/grant.ts';
import { type Refusal } from '../grant/known.ts';
import { grantLimits } from '../grant/limits.ts';
import { writeNew } from './keyFile.ts';

const names = { meshId: 'mesh-id', meshKey: 'mesh-key', rootKey: 'root.key', clusterKey: 'cluster.key', records: 'records' } as const;

/** What an operator holds of a mesh, in files: its id, its keys, and the records of its authority. See src/grant/SPEC.md, T16. */
export class MeshDirectory {
  readonly authority: Authority;
  /** Records that lie there and were refused. */
  readonly refused: readonly { readonly any: AnyRecord; readonly refusal: Refusal }[];
  readonly #dir: string;

  private constructor(dir: string, authority: Authority, refused: MeshDirectory['refused']) {
    this.#dir = dir;
    this.authority = authority;
    this.refused = refused;
  }

  /** The paths of a new directory, mode 700, in which a mesh is to be made. Error: `bad_config` where there is something. */
  static make(dir: string): { readonly rootKey: string; readonly clusterKey: string } {
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      if (readdirSync(dir).length > 0) throw new GkvError('bad_config', `${dir} is not empty`);
      mkdirSync(join(dir, names.records), { mode: 0o700 });
    } catch (cause) {
      throw cause instanceof GkvError ? cause : new GkvError('bad_config', `${dir} cannot be made`, { cause });
    }
    return { rootKey: join(dir, names.rootKey), clusterKey: join(dir, names.clusterKey) };
  }

  /** Writes the first records of a mesh, then its key, and last its id. */
  static async begin(dir: string, meshId: Uint8Array, records: readonly AnyRecord[]): Promise<MeshDirectory> {
    for (const any of records) writeRecord(dir, any);
    writeNew(join(dir, names.meshKey), `${randomBytes(32).toString('hex')}\n`, 0o600);
    writeNew(join(dir, names.meshId), `${toHex(meshId)}\n`, 0o644);
    return MeshDirectory.open(dir);
  }

  /** Errors: `bad_config` where there is no mesh, `malformed` with the file's name for a file that is no record. */
  static async open(dir: string): Promise<MeshDirectory> {
    const authority = new Authority(readMeshId(dir), nativeSignatures());
    const refused = await takeAll(authority, readRecords(dir, authority.meshId));
    return new MeshDirectory(dir, authority, refused);
  }

  get rootKey(): string {
    return join(this.#dir, names.rootKey);
  }

  /** Takes a record in and keeps it. Error: the code with which it is refused. */
  async add(any: AnyRecord): Promise<void> {
    const refusal = await take(this.authority, any);
    if (refusal !== undefined) throw refused(refusal);
    const known = any.kind === 'grant' ? this.authority.grant(any.record.id) : undefined; // with the signatures of before
    writeRecord(this.#dir, known === undefined ? any : { kind: 'grant', record: known });
  }

  /** The grant whose id begins with these hex digits. Error: `bad_config` where none does, or several do. */
  grantOf(prefix: string): Grant {
    const found = this.authority.grants().filter(({ id }) => toHex(id).startsWith(prefix));
    const [grant] = found;
    if (/^[0-9a-f]{4,64}$/.test(prefix) && grant !== undefined && found.length === 1) return grant;
    const what = found.length > 1 ? `begins ${found.length} ids of grants` : 'begins no id of a grant that is known';
    throw new GkvError('bad_config', `${JSON.stringify(prefix)} ${what}: at least 4 hex digits of one are needed`);
  }
}

/** The error with which a command ends. */
export function refused({ code, message, link, grantId }: Refusal): GkvError {
  const where = grantId === undefined ? '' : `grant ${toHex(grantId)}${link === undefined ? '' : `, link ${link}`}: `;
  return new GkvError(code, `${where}${message}`);
}

function readMeshId(dir: string): Uint8Array {
  const path = join(dir, names.meshId);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new GkvError('bad_config', `${dir} is no mesh directory: ${path} cannot be read. gkvmesh init makes one`, { cause });
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new GkvError('bad_config', `${path} must hold 64 lower-case hex digits (32 bytes)`);
  return Buffer.from(text, 'hex');
}

/** Longest file of a record, with its end of line. */
const recordFileBytesMax = 65_537;

function readRecords(dir: string, meshId: Uint8Array): AnyRecord[] {
  const folder = join(dir, names.records);
  let files: string[];
  try {
    files = readdirSync(folder).filter((name) => /\.(?:root|grant|revocation)$/.test(name));
  } catch (cause) {
    throw new GkvError('bad_config', `${folder} cannot be read`, { cause });
  }
  if (files.length > grantLimits.recordsMax) throw new GkvError('too_large', `${folder} has more than ${grantLimits.recordsMax} records`);
  return files.sort().map((name) => readRecord(join(folder, name), meshId));
}

/** Errors: `bad_config`, `malformed`, `too_large`, with the path. */
function readRecord(path: string, meshId: Uint8Array): AnyRecord {
  try {
    if (statSync(path).size > recordFileBytesMax) throw new GkvError('too_large', `more than ${recordFileBytesMax} bytes`);
    return parseRecordText(readFileSync(path, 'utf8').trimEnd(), meshId);
  } catch (cause) {
    if (cause instanceof GkvError) throw new GkvError(cause.code, `${path}: ${cause.message}`, { cause });
    throw new GkvError('bad_config', `${path} cannot be read`, { cause });
  }
}

/** Under its id; whole, or not at all. */
function writeRecord(dir: string, any: AnyRecord): void {
  const path = join(dir, names.records, `${toHex(any.record.id)}.${any.kind}`);
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  writeNew(draft, `${recordText(any)}\n`, 0o644);
  renameSync(draft, path);
}
