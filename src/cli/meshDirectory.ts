import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { nativeSignatures } from '../crypto/ed25519.ts';
import { take, takeAll, type AnyRecord } from '../grant/anyRecord.ts';
import { Authority } from '../grant/authority.ts';
import { type Grant } from '../grant/grant.ts';
import { type Refusal } from '../grant/known.ts';
import { grantLimits } from '../grant/limits.ts';
import { type GrantedStart } from '../server/config.ts';
import { fileError } from './io.ts';
import { readKeyFile, readSecret, writeNew } from './keyFile.ts';
import { RecordFiles, writeNewRecord, writeRecord } from './recordFiles.ts';

const names = { meshId: 'mesh-id', meshKey: 'mesh-key', rootKey: 'root.key', clusterKey: 'cluster.key', records: 'records' } as const;

/** What an operator holds of a mesh, in files: its id, its keys, and the records of its authority. See src/grant/SPEC.md, T16. */
export class MeshDirectory {
  readonly authority: Authority;
  /** Records that lie there and were refused. */
  readonly refused: readonly { readonly any: AnyRecord; readonly refusal: Refusal }[];
  readonly #dir: string;
  /** Of records, when it was opened. */
  readonly #files: number;

  private constructor(dir: string, authority: Authority, refused: MeshDirectory['refused'], files: number) {
    this.#dir = dir;
    this.authority = authority;
    this.refused = refused;
    this.#files = files;
  }

  /** The paths of a new directory, mode 700, in which a mesh is to be made. Error: `bad_config` where there is something. */
  static make(dir: string): { readonly rootKey: string; readonly clusterKey: string } {
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      if (readdirSync(dir).length > 0) throw new GkvError('bad_config', `${dir} is not empty`);
      mkdirSync(join(dir, names.records), { mode: 0o700 });
    } catch (cause) {
      throw cause instanceof GkvError ? cause : fileError(dir, 'cannot be made', cause);
    }
    return { rootKey: join(dir, names.rootKey), clusterKey: join(dir, names.clusterKey) };
  }

  /** Writes the first records of a mesh, then its key, and last its id. */
  static async begin(dir: string, meshId: Uint8Array, records: readonly AnyRecord[]): Promise<MeshDirectory> {
    for (const any of records) writeRecord(join(dir, names.records), any);
    writeNew(join(dir, names.meshKey), `${randomBytes(32).toString('hex')}\n`, 0o600);
    writeNew(join(dir, names.meshId), `${toHex(meshId)}\n`, 0o644);
    return MeshDirectory.open(dir);
  }

  /** Errors: `bad_config` where there is no mesh, `malformed` with the file's name for a file that is no record. */
  static async open(dir: string): Promise<MeshDirectory> {
    const authority = new Authority(readMeshId(dir), nativeSignatures());
    const { records, wrong } = await new RecordFiles(join(dir, names.records), authority.meshId).news();
    if (wrong[0] !== undefined) throw wrong[0];
    const refused = await takeAll(authority, records);
    return new MeshDirectory(dir, authority, refused, records.length);
  }

  get rootKey(): string {
    return join(this.#dir, names.rootKey);
  }

  /** Takes a record in and keeps it. Error: the code with which it is refused. */
  async add(any: AnyRecord): Promise<void> {
    const refusal = await take(this.authority, any);
    if (refusal !== undefined) throw refused(refusal);
    const known = any.kind === 'grant' ? this.authority.grant(any.record.id) : undefined; // with the signatures that count
    writeRecord(join(this.#dir, names.records), known === undefined ? any : { kind: 'grant', record: known });
  }

  /**
   * Writes records that `authority` has taken in, each to a file of its own: what ends grants before grants, so that none that has ended seems to stand where this is cut short.
   * Error: `too_large`, and nothing is written, where the directory would have more records than are read.
   */
  keep(taken: readonly AnyRecord[]): { readonly written: number; readonly inTheWay: readonly AnyRecord[] } {
    if (this.#files + taken.length > grantLimits.recordsMax)
      throw new GkvError('too_large', `${taken.length} more records, beside ${this.#files}: at most ${grantLimits.recordsMax} are read`);
    const ordered = [...taken.filter(({ kind }) => kind !== 'grant'), ...taken.filter(({ kind }) => kind === 'grant')];
    const outcomes = ordered.map((any) => ({ any, outcome: writeNewRecord(join(this.#dir, names.records), any) }));
    return {
      written: outcomes.filter(({ outcome }) => outcome === 'written').length,
      inTheWay: outcomes.flatMap(({ any, outcome }) => (outcome === 'other' ? [any] : [])),
    };
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

/** What a server takes from a mesh directory. Errors: as of `MeshDirectory.open`, and `bad_config` where a key is open to others. */
export function startOf(dir: string): GrantedStart {
  const meshId = readMeshId(dir);
  const files = new RecordFiles(join(dir, names.records), meshId);
  return { meshId, meshKey: meshKeyIn(dir), signer: readKeyFile(join(dir, names.clusterKey)), news: () => files.news() };
}

/** The mesh key of a mesh directory. Error: `bad_config` where there is none, or it is open to others. */
export function meshKeyIn(dir: string): Uint8Array {
  const key = readSecret(join(dir, names.meshKey)).trim();
  if (!/^[0-9a-f]{64}$/.test(key))
    throw new GkvError('bad_config', `${join(dir, names.meshKey)} must hold 64 lower-case hex digits (32 bytes)`);
  return Buffer.from(key, 'hex');
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
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(path, 'cannot be read', cause); // what node:fs throws
    throw new GkvError('bad_config', `${dir} is no mesh directory: ${path} is not there. gkvmesh init makes one`, { cause });
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new GkvError('bad_config', `${path} must hold 64 lower-case hex digits (32 bytes)`);
  return Buffer.from(text, 'hex');
}
