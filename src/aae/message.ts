import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { limits } from '../core/limits.ts';
import { type KeyRange } from '../core/key.ts';
import { fingerprintBytes, idBytes, scopeFingerprintBytes } from './fingerprint.ts';

/** A range, taken apart: each part is [edge before, end) with the sender's fingerprint of what it holds there. */
export interface Parts {
  readonly start: Uint8Array;
  readonly parts: readonly { readonly end: Uint8Array | null; readonly fingerprint: Uint8Array }[];
}

/** A range and salted ids of writes in it, idBytes each, one behind the other. */
export interface RangeIds {
  readonly range: KeyRange;
  readonly ids: Uint8Array;
}

/** What the driver asks in one message. */
export interface Ask {
  /** Compare these, and answer with something finer where they differ. */
  readonly spans: readonly Parts[];
  /** Send these writes. */
  readonly wants: readonly RangeIds[];
  /** Send what is in the range, from its start on. */
  readonly fetch: KeyRange | undefined;
  /** Take these in: encoded writes. */
  readonly writes: Uint8Array;
  /** The range of the whole exchange. */
  readonly scope: KeyRange;
  /** Whether the answer shall carry the responder's fingerprint of the scope. */
  readonly closing: 'final' | 'more';
}

/** What the responder found; in the order of what was asked, as far as one frame goes. */
export interface Reply {
  /** Spans that were looked at; ask for the rest again. */
  readonly looked: number;
  /** Where the two differ and both hold much: finer parts. */
  readonly spans: readonly Parts[];
  /** Where the two differ and the responder holds little: its ids. */
  readonly ids: readonly RangeIds[];
  /** Where the driver holds nothing: fetch from there. */
  readonly offers: readonly KeyRange[];
  /** Where the responder holds nothing: send what is there. */
  readonly gaps: readonly KeyRange[];
  /** Encoded writes: those wanted, in order, or those fetched. */
  readonly writes: Uint8Array;
  /** Of the ids wanted, how many were looked for; ask for the rest again. */
  readonly wantsDone: number;
  /** Where to go on fetching; null when the range is done, or nothing was to be fetched. */
  readonly fetchNext: Uint8Array | null;
  readonly applied: number;
  readonly parked: number;
  /** The responder's fingerprint of the scope after all this, 16 bytes; empty where it was not asked for. */
  readonly scopeFingerprint: Uint8Array;
}

/** Ranges and ids in one frame, at the most: what one message may make us do. */
const rangesPerFrameMax = 65_535;
/** Parts of one span; ours have 30 at the most. Each edge that is no bound may make us read the heads of a branch. */
export const partsPerSpanMax = 64;

export function encodeAsk(ask: Ask): Uint8Array {
  const out = new KeyWriter();
  out.range(ask.scope);
  out.writer.u8(ask.closing === 'final' ? 1 : 0);
  out.list(ask.spans, (span) => {
    writeParts(out, span);
  });
  out.list(ask.wants, (want) => {
    writeIds(out, want);
  });
  out.list(ask.fetch === undefined ? [] : [ask.fetch], (range) => {
    out.range(range);
  });
  out.blob(ask.writes);
  return out.writer.done();
}

export function decodeAsk(bytes: Uint8Array): Ask {
  const input = new KeyReader(new ByteReader(bytes, 'exchange request'));
  const scope = input.range();
  const final = input.reader.u8();
  if (final > 1) throw input.reader.fail(`closing ${final} is unknown`);
  const closing = final === 1 ? 'final' : 'more';
  const spans = input.list(readParts);
  const wants = input.list(readIds);
  const [fetch] = input.list((from) => from.range(), 1);
  const writes = input.blob();
  input.reader.end();
  return { scope, closing, spans, wants, fetch, writes };
}

export function encodeReply(reply: Reply): Uint8Array {
  const out = new KeyWriter();
  out.writer.u32(reply.looked);
  out.list(reply.spans, (span) => {
    writeParts(out, span);
  });
  out.list(reply.ids, (ids) => {
    writeIds(out, ids);
  });
  for (const ranges of [reply.offers, reply.gaps]) {
    out.list(ranges, (range) => {
      out.range(range);
    });
  }
  out.blob(reply.writes);
  out.writer.u32(reply.wantsDone);
  out.key(reply.fetchNext);
  out.writer.u32(reply.applied);
  out.writer.u32(reply.parked);
  out.blob(reply.scopeFingerprint);
  return out.writer.done();
}

export function decodeReply(bytes: Uint8Array): Reply {
  const input = new KeyReader(new ByteReader(bytes, 'exchange answer'));
  const looked = input.reader.u32();
  const spans = input.list(readParts);
  const ids = input.list(readIds);
  const offers = input.list((from) => from.range());
  const gaps = input.list((from) => from.range());
  const writes = input.blob();
  const wantsDone = input.reader.u32();
  const fetchNext = input.key();
  const applied = input.reader.u32();
  const parked = input.reader.u32();
  const scopeFingerprint = input.blob();
  if (scopeFingerprint.length !== 0 && scopeFingerprint.length !== scopeFingerprintBytes)
    throw input.reader.fail('a fingerprint of another length');
  input.reader.end();
  return { looked, spans, ids, offers, gaps, writes, wantsDone, fetchNext, applied, parked, scopeFingerprint };
}

function writeParts(out: KeyWriter, span: Parts): void {
  out.key(span.start);
  out.list(span.parts, ({ end, fingerprint }) => {
    out.key(end);
    out.writer.bytes(fingerprint);
  });
}

function readParts(input: KeyReader): Parts {
  const start = input.edge();
  return { start, parts: input.list((from) => ({ end: from.key(), fingerprint: from.reader.bytes(fingerprintBytes) }), partsPerSpanMax) };
}

function writeIds(out: KeyWriter, { range, ids }: RangeIds): void {
  out.range(range);
  out.writer.u16(ids.length / idBytes);
  out.writer.bytes(ids);
}

function readIds(input: KeyReader): RangeIds {
  const range = input.range();
  return { range, ids: input.reader.bytes(input.reader.u16() * idBytes) };
}

const pastLast = 0xff;
const longForm = 0xf0;
const shortMax = 14;

/**
 * Keys are front-coded against the one before. u8: shared length in the high nibble, length of the rest in the low one, both at most 14,
 * then the rest; or 0xf0, shared u8, length u16, rest, where one is greater; or 0xff for "past the last".
 */
class KeyWriter {
  readonly writer = new ByteWriter();
  #before: Uint8Array = new Uint8Array(0);

  key(key: Uint8Array | null): void {
    if (key === null) {
      this.writer.u8(pastLast);
      return;
    }
    const shared = sharedLength(this.#before, key);
    const rest = key.length - shared;
    if (shared <= shortMax && rest <= shortMax) this.writer.u8((shared << 4) | rest);
    else {
      this.writer.u8(longForm);
      this.writer.u8(shared);
      this.writer.u16(rest);
    }
    this.writer.bytes(key.subarray(shared));
    this.#before = key;
  }

  range(range: KeyRange): void {
    this.key(range.start);
    this.key(range.end);
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.writer.u16(items.length);
    items.forEach(write);
  }

  blob(bytes: Uint8Array): void {
    this.writer.u32(bytes.length);
    this.writer.bytes(bytes);
  }
}

class KeyReader {
  readonly reader: ByteReader;
  #before: Uint8Array = new Uint8Array(0);
  #items = 0;

  constructor(reader: ByteReader) {
    this.reader = reader;
  }

  key(): Uint8Array | null {
    const form = this.reader.u8();
    if (form === pastLast) return null;
    const isLong = form === longForm;
    if (!isLong && (form >> 4 > shortMax || (form & 15) > shortMax)) throw this.reader.fail(`a key of form ${form}, which is unknown`);
    const shared = isLong ? this.reader.u8() : form >> 4;
    const rest = this.reader.bytes(isLong ? this.reader.u16() : form & 15);
    if (isLong && shared <= shortMax && rest.length <= shortMax) throw this.reader.fail('a short key in the long form');
    if (shared > this.#before.length) throw this.reader.fail(`a key that shares ${shared} bytes with one of ${this.#before.length}`);
    if (rest.length > 0 && shared < 255 && this.#before[shared] === rest[0]) throw this.reader.fail('a key that shares more than it says');
    const key = new Uint8Array(shared + rest.length); // what is kept of a message keeps nothing else of it
    key.set(this.#before.subarray(0, shared));
    key.set(rest, shared);
    if (key.length > limits.keyBytesMax + 1) throw this.reader.fail(`an edge of ${key.length} bytes`);
    this.#before = key;
    return key;
  }

  edge(): Uint8Array {
    const key = this.key();
    if (key === null) throw this.reader.fail('a range that starts past the last key');
    return key;
  }

  range(): KeyRange {
    const start = this.edge();
    const end = this.key();
    if (end !== null && Buffer.compare(start, end) > 0) throw this.reader.fail('a range that ends before it starts');
    return { start, end };
  }

  list<T>(read: (from: KeyReader) => T, most = rangesPerFrameMax): T[] {
    const count = this.reader.u16();
    this.#items += count;
    if (count > most || this.#items > rangesPerFrameMax)
      throw this.reader.fail(`${this.#items} items: at most ${rangesPerFrameMax} are allowed`);
    const items: T[] = [];
    for (let i = 0; i < count; i += 1) items.push(read(this));
    return items;
  }

  blob(): Uint8Array {
    return this.reader.bytes(this.reader.u32());
  }
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length, 255);
  let shared = 0;
  while (shared < most && a[shared] === b[shared]) shared += 1;
  return shared;
}
