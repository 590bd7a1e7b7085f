import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { readFrontier, writeFrontier, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
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
  /** Where it did not, and they were counted: rows of the feed behind the page; at most 1,000, which are so many or more. */
  readonly behind?: number | undefined;
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

/** incarnation u64 | position 12 | ends u8: 0, 1 or 2 | frontier where it is 1, behind u16 where it is 2 | statement | in a granted mesh: records | writes, to the end. */
export function encodeFeedAnswer(answer: FeedAnswer): Uint8Array {
  const out = new ByteWriter(answer.writes.length + 1_024);
  writeCursor(out, answer.cursor);
  writeEnd(out, answer);
  writeStatement(out, answer.statement);
  if (answer.records !== undefined) writeRecords(out, answer.records);
  out.bytes(answer.writes);
  return out.done();
}

/** Errors: `malformed`. */
export function decodeFeedAnswer(bytes: Uint8Array, kind: MeshKind = 'open'): FeedAnswer {
  const reader = new ByteReader(bytes, 'feed answer');
  const cursor = cursorFrom(reader);
  const end = endFrom(reader);
  const statement = readStatement(reader);
  const records = kind === 'granted' ? { records: readRecords(reader) } : {};
  return { cursor, ...end, statement, ...records, writes: reader.bytes(reader.left) };
}

const ends = { no: 0, yes: 1, counted: 2 } as const;

function writeEnd(out: ByteWriter, { end, behind }: Pick<FeedAnswer, 'end' | 'behind'>): void {
  if (end !== undefined) {
    out.u8(ends.yes);
    writeFrontier(out, end);
  } else if (behind !== undefined) {
    out.u8(ends.counted);
    out.u16(behind);
  } else out.u8(ends.no);
}

function endFrom(reader: ByteReader): Pick<FeedAnswer, 'end' | 'behind'> {
  const said = reader.u8();
  switch (said) {
    case ends.no:
      return { end: undefined };
    case ends.yes:
      return { end: readFrontier(reader) };
    case ends.counted: {
      const behind = reader.u16();
      if (behind > limits.feedBehindMax) throw reader.fail(`${behind} rows behind a page: at most ${limits.feedBehindMax} are counted`);
      return { end: undefined, behind };
    }
    default:
      throw reader.fail(`ends ${said} is unknown`);
  }
}

function writeCursor(out: ByteWriter, { incarnation, position }: FeedCursor): void {
  out.u64(incarnation);
  out.bytes(position);
}

function cursorFrom(reader: ByteReader): FeedCursor {
  return { incarnation: reader.u64(), position: reader.bytes(positionBytes) };
}
