import { compareBytes, equalBytes } from '../core/bytes.ts';
import { hasCode } from '../core/errors.ts';
import { MeshDigests, type MeshKind } from '../crypto/mesh.ts';
import { positionZero } from '../replica/cursor.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { decodeWrites } from '../replica/wire.ts';
import {
  decodeHeader,
  decodePage,
  decodeRecords,
  decodeTrailer,
  type BackupHeader,
  type BackupPage,
  type BackupTrailer,
} from './content.ts';
import { corrupt, readRecords, type RawRecord } from './record.ts';

export type BackupPart =
  | { readonly kind: 'header'; readonly header: BackupHeader; readonly record: RawRecord }
  | { readonly kind: 'page'; readonly page: BackupPage; readonly record: RawRecord }
  | { readonly kind: 'records'; readonly records: readonly Uint8Array[]; readonly record: RawRecord }
  | { readonly kind: 'trailer'; readonly trailer: BackupTrailer; readonly record: RawRecord };

/** How far a backup has come. */
export interface BackupProgress {
  readonly pages: number;
  readonly writes: number;
  /** Of the last record. */
  readonly digest: Uint8Array;
  /** Of the feed, behind the last page; undefined before the first. */
  readonly position: Uint8Array | undefined;
}

/** Checks the order of records and of what pages tell of the feed, and their counts against the trailer. Error: `corrupt`. */
export class BackupOrder {
  progress: BackupProgress;
  isComplete = false;
  #isBegun: boolean;
  /** Undefined where it goes on behind what was read before. */
  #kind: MeshKind | undefined;

  /** `from`: behind those that were read before. */
  constructor(from?: BackupProgress) {
    this.#isBegun = from !== undefined;
    this.progress = from ?? { pages: 0, writes: 0, digest: new Uint8Array(0), position: undefined };
  }

  take(record: RawRecord): BackupPart {
    if (this.isComplete || this.#isBegun === (record.kind === 'header')) throw corrupt(`a ${record.kind} where none may stand`);
    this.#isBegun = true;
    const part = decoded(record);
    const { pages, writes, position } = this.progress;
    if (part.kind === 'header') this.#kind = part.header.kind;
    if (part.kind === 'records' && this.#kind === 'open') throw corrupt('records of authority, of an open mesh');
    if (part.kind === 'page') {
      const { count, position: behind } = part.page;
      if (compareBytes(behind, position ?? positionZero) <= 0) throw corrupt('pages that are not in the order of the feed');
      this.progress = { pages: pages + 1, writes: writes + count, digest: record.digest, position: behind };
    } else {
      this.progress = { pages, writes, digest: record.digest, position };
    }
    if (part.kind === 'trailer') {
      if (part.trailer.pages !== pages || part.trailer.writes !== writes) throw corrupt(`${pages} pages with ${writes} writes are not all`);
      this.isComplete = true;
    }
    return part;
  }
}

/** All parts of a whole backup, each checked before it is given. Error: `corrupt`, also where it ends before its end. */
export async function* readBackup(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<BackupPart> {
  const order = new BackupOrder();
  for await (const record of readRecords(chunks, { cut: 'refuse' })) yield order.take(record);
  if (!order.isComplete) throw corrupt('it ends before its trailer');
}

/** The writes of a page. Error: `corrupt`. */
export function writesOf({ writes, count }: BackupPage, digests: MeshDigests): ReceivedWrite[] {
  const decoded = fromFile(() => decodeWrites(writes, digests));
  if (decoded.length !== count) throw corrupt(`a page of ${decoded.length} writes that says ${count}`);
  return decoded;
}

export interface VerifiedBackup {
  readonly header: BackupHeader;
  readonly trailer: BackupTrailer;
  /** Of the whole file. */
  readonly digest: Uint8Array;
}

/** Reads all of it, and keeps nothing. Error: `corrupt`. */
export async function verifyBackup(chunks: AsyncIterable<Uint8Array>, onPage: (writes: number) => void): Promise<VerifiedBackup> {
  let header: BackupHeader | undefined;
  let digests: MeshDigests | undefined;
  let verified: VerifiedBackup | undefined;
  let writes = 0;
  for await (const part of readBackup(chunks)) {
    if (part.kind === 'header') {
      header = part.header;
      digests = new MeshDigests({ id: header.meshId, key: new Uint8Array(32), kind: header.kind }); // ids of writes do not depend on the key
    } else if (part.kind === 'page' && digests !== undefined) {
      writes += writesOf(part.page, digests).length;
      onPage(writes);
    } else if (part.kind === 'trailer' && header !== undefined) verified = { header, trailer: part.trailer, digest: part.record.digest };
  }
  if (verified === undefined) throw corrupt('it ends before its trailer');
  return verified;
}

/** True where a part of a backup is of the same store and the same feed. */
export function isOfSameFeed(a: BackupHeader, b: Pick<BackupHeader, 'clusterId' | 'incarnation' | 'meshId'>): boolean {
  return equalBytes(a.clusterId, b.clusterId) && a.incarnation === b.incarnation && equalBytes(a.meshId, b.meshId);
}

function decoded(record: RawRecord): BackupPart {
  return fromFile((): BackupPart => {
    switch (record.kind) {
      case 'header':
        return { kind: 'header', header: decodeHeader(record.payload), record };
      case 'page':
        return { kind: 'page', page: decodePage(record.payload), record };
      case 'records':
        return { kind: 'records', records: decodeRecords(record.payload), record };
      case 'trailer':
        return { kind: 'trailer', trailer: decodeTrailer(record.payload), record };
    }
  });
}

/** What a decoder finds wrong is a fault of the file. Error: `corrupt`. */
export function fromFile<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large')) throw corrupt(error.message);
    throw error;
  }
}
