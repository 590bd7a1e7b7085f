import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { readFrontier, writeFrontier, type Frontier } from '../core/frontier.ts';
import { type MeshKind } from '../crypto/mesh.ts';
import { type RecordsPage } from '../grant/ledger.ts';
import { positionBytes, type FeedCursor } from '../replica/cursor.ts';
import { readRecordCursor, readRecords, writeRecordCursor, writeRecords, type RecordCursor } from './records.ts';
import { readStatement, writeStatement, type Statement } from './statement.ts';

/** What a reader asks its upstream for. */
export interface FeedAsk {
  /** Answer at once where there is something, else after so long; at most 65,535. */
  readonly waitMs: number;
  readonly cursor: FeedCursor;
  /** What the reader has: that is left out. */
  readonly frontier: Frontier;
  readonly statement: Statement;
  /** In a granted mesh: how far the reader has the upstream's ledger. */
  readonly records?: RecordCursor | undefined;
}

/** A page of the feed. */
export interface FeedAnswer {
  /** Behind the last that was looked at; of the upstream's incarnation as it is now. */
  readonly cursor: FeedCursor;
  /** Where the page ended the feed: what the upstream has. */
  readonly end: Frontier | undefined;
  readonly statement: Statement;
  /** In a granted mesh: what the reader lacked of the ledger. */
  readonly records?: RecordsPage | undefined;
  /** Encoded. */
  readonly writes: Uint8Array;
}

/** wait u16 ms | incarnation u64 | position 12 | frontier | statement | in a granted mesh: cursor in the ledger. */
export function encodeFeedAsk(ask: FeedAsk): Uint8Array {
  const out = new ByteWriter();
  out.u16(ask.waitMs);
  writeCursor(out, ask.cursor);
  writeFrontier(out, ask.frontier);
  writeStatement(out, ask.statement);
  if (ask.records !== undefined) writeRecordCursor(out, ask.records);
  return out.done();
}

/** Errors: `malformed`. */
export function decodeFeedAsk(bytes: Uint8Array, kind: MeshKind = 'open'): FeedAsk {
  const reader = new ByteReader(bytes, 'feed request');
  const ask = {
    waitMs: reader.u16(),
    cursor: cursorFrom(reader),
    frontier: readFrontier(reader),
    statement: readStatement(reader),
    ...(kind === 'granted' ? { records: readRecordCursor(reader) } : {}),
  };
  reader.end();
  return ask;
}

/** incarnation u64 | position 12 | ends u8 (0 or 1) | frontier where it ends | statement | in a granted mesh: records | writes, to the end. */
export function encodeFeedAnswer(answer: FeedAnswer): Uint8Array {
  const out = new ByteWriter(answer.writes.length + 1_024);
  writeCursor(out, answer.cursor);
  out.u8(answer.end === undefined ? 0 : 1);
  if (answer.end !== undefined) writeFrontier(out, answer.end);
  writeStatement(out, answer.statement);
  if (answer.records !== undefined) writeRecords(out, answer.records);
  out.bytes(answer.writes);
  return out.done();
}

/** Errors: `malformed`. */
export function decodeFeedAnswer(bytes: Uint8Array, kind: MeshKind = 'open'): FeedAnswer {
  const reader = new ByteReader(bytes, 'feed answer');
  const cursor = cursorFrom(reader);
  const ends = reader.u8();
  if (ends > 1) throw reader.fail(`ends ${ends} is unknown`);
  const end = ends === 0 ? undefined : readFrontier(reader);
  const statement = readStatement(reader);
  const records = kind === 'granted' ? { records: readRecords(reader) } : {};
  return { cursor, end, statement, ...records, writes: reader.bytes(reader.left) };
}

function writeCursor(out: ByteWriter, { incarnation, position }: FeedCursor): void {
  out.u64(incarnation);
  out.bytes(position);
}

function cursorFrom(reader: ByteReader): FeedCursor {
  return { incarnation: reader.u64(), position: reader.bytes(positionBytes) };
}
