import { createHash } from 'node:crypto';
import { emptyBytes, equalBytes } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';

/** What a file begins with. */
export const magic = Buffer.from('gkvmesh/backup/v1\0');

const recordKinds = ['header', 'page', 'trailer', 'records'] as const;
export type RecordKind = (typeof recordKinds)[number];

export const digestBytes = 32;
const frameBytes = 1 + 4;
/** A page of the feed has 512 KiB, or one write of the greatest size, and with what hides that 1.75 MiB. */
const payloadBytesMax = 2_097_152;

/** One record as it stands in the file. */
export interface RawRecord {
  readonly kind: RecordKind;
  readonly payload: Buffer;
  /** Of everything up to its end. */
  readonly digest: Buffer;
  /** The whole record; of the first one with the magic in front. */
  readonly bytes: Buffer;
  /** Where in the file it ends. */
  readonly end: number;
}

/** What the digest of the first record goes on from. */
export const firstDigest: Uint8Array = sha256(magic);

/** kind u8 | length u32 | payload | SHA-256 of (the digest before it ‖ all of these): so the last one covers the whole file. */
export function encodeRecord(kind: RecordKind, payload: Uint8Array, before: Uint8Array): { bytes: Buffer; digest: Buffer } {
  const frame = Buffer.alloc(frameBytes);
  frame.writeUInt8(recordKinds.indexOf(kind), 0);
  frame.writeUInt32BE(payload.length, 1);
  const digest = sha256(before, frame, payload);
  return { bytes: Buffer.concat([frame, payload, digest]), digest };
}

export interface ReadOptions {
  /** The digest to go on from, for a stream that begins behind some records; it has no magic then. */
  readonly after?: Uint8Array;
  /** What becomes of a record that the stream ends in: it is an error, or it is left out. */
  readonly cut: 'refuse' | 'leave out';
}

/** The records of a stream, each checked before it is given; one is held at a time. Error: `corrupt`. */
export async function* readRecords(chunks: AsyncIterable<Uint8Array>, { after, cut }: ReadOptions): AsyncGenerator<RawRecord> {
  const source = new Source(chunks);
  let before = after ?? firstDigest;
  let front: Uint8Array = after === undefined ? await source.take(magic.length) : emptyBytes;
  const isCut = front.length < magic.length && equalBytes(front, magic.subarray(0, front.length));
  if (after === undefined && cut === 'leave out' && isCut) return;
  if (after === undefined && !equalBytes(front, magic)) throw corrupt('it does not begin as a backup of this version does');
  for (;;) {
    const begun = source.taken;
    const frame = await source.take(frameBytes);
    if (frame.length === 0) return;
    const length = frame.length < frameBytes ? 0 : frame.readUInt32BE(1);
    if (length > payloadBytesMax) throw corrupt(`byte ${begun}: a record of ${length} bytes`);
    const rest = await source.take(length + digestBytes);
    if (frame.length < frameBytes || rest.length < length + digestBytes) {
      if (cut === 'leave out') return;
      throw corrupt(`it ends at byte ${source.taken}, within a record`);
    }
    const [payload, digest] = [rest.subarray(0, length), rest.subarray(length)];
    const kind = recordKinds[frame[0] ?? recordKinds.length];
    if (kind === undefined || !sha256(before, frame, payload).equals(digest)) throw corrupt(`the record at byte ${begun} is damaged`);
    yield { kind, payload, digest, bytes: Buffer.concat([front, frame, rest]), end: source.taken };
    front = emptyBytes;
    before = digest;
  }
}

export function corrupt(why: string): GkvError {
  return new GkvError('corrupt', `the backup is damaged: ${why}`);
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Takes bytes off a stream; holds no more than was asked for and a chunk. */
class Source {
  taken = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Fewer where the stream ends. */
  async take(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#held.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) break;
        this.#held = next.value;
      }
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    this.taken += count - missing;
    return Buffer.concat(parts);
  }
}
