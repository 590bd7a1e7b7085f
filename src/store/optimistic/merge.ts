/** Range reads that show a transaction its own writes: the rows of a snapshot, overlaid with a write buffer. */
import { GkvError } from '../../core/errors.ts';
import { type Bytes, type Row } from '../store.ts';
import { type Span } from './ranges.ts';
import { bytesOf, type Text, textOf } from './text.ts';
import { sumOf, type Write, type WriteBuffer } from './writeBuffer.ts';

export type Order = 'forward' | 'reverse';

/** What a transaction reads from: one version of the store, synchronously. */
export interface Base {
  get(key: Bytes): Bytes | undefined;
  /** At most `limit` rows of [start, end), from the start, or from the end when reversed. */
  range(start: Bytes, end: Bytes, limit: number, order: Order): Row[];
}

/** Rows asked for when those of the page before were eaten by clears. */
const nextPageRows = 256;

interface TextRow {
  readonly text: Text;
  readonly row: Row;
}

export function readMerged(base: Base, buffer: WriteBuffer, span: Span, limit: number, order: Order): Row[] {
  const written = buffer.writtenIn(span);
  if (written.length === 0 && !buffer.cleared.intersects(span)) {
    return base.range(bytesOf(span.start), bytesOf(span.end), limit, order);
  }
  if (order === 'reverse') written.reverse();
  const precedes = order === 'forward' ? (a: Text, b: Text) => a < b : (a: Text, b: Text) => a > b;

  const rows: Row[] = [];
  const stored = storedRows(base, buffer.cleared.gaps(span), limit, order);
  let next = stored.next();
  for (let at = 0; rows.length < limit;) {
    const text = written[at];
    if (!next.done && (text === undefined || precedes(next.value.text, text))) {
      rows.push(next.value.row);
      next = stored.next();
    } else if (text !== undefined) {
      const same = !next.done && next.value.text === text ? next.value.row : undefined;
      const row = ownRow(buffer, text, same?.value);
      if (row !== undefined) rows.push(row);
      if (same !== undefined) next = stored.next();
      at += 1;
    } else {
      break;
    }
  }
  return rows;
}

/** The key's row with what the transaction did to it. */
function ownRow(buffer: WriteBuffer, text: Text, stored: Bytes | undefined): Row | undefined {
  const write = buffer.writes.get(text);
  if (write === undefined) return undefined;
  const value = write.pending === undefined ? write.value : pendingValue(write, text, stored);
  return value === undefined ? undefined : { key: write.key, value };
}

/** What a read sees of a write that is still pending. */
export function pendingValue(write: Pick<Write, 'pending'>, text: Text, stored: Bytes | undefined): Bytes | undefined {
  if (write.pending?.kind === 'sum') return sumOf(stored, write.pending.deltas);
  throw unreadable(text);
}

export function unreadable(text: Text): GkvError {
  return new GkvError(
    'store_unreadable',
    `key 0x${bytesOf(text).toString('hex')} gets its versionstamp with the commit: read it in another transaction`,
  );
}

function* storedRows(base: Base, gaps: Span[], limit: number, order: Order): Generator<TextRow, undefined> {
  if (order === 'reverse') gaps.reverse();
  let pageRows = limit;
  for (const gap of gaps) {
    let start = bytesOf(gap.start);
    let end = bytesOf(gap.end);
    for (;;) {
      const page = base.range(start, end, pageRows, order);
      for (const row of page) yield { text: textOf(row.key), row };
      const last = page.at(-1);
      if (last === undefined || page.length < pageRows) break;
      if (order === 'forward') start = Buffer.concat([last.key, Buffer.of(0)]);
      else end = Buffer.from(last.key);
      pageRows = Math.max(Math.min(limit, nextPageRows), 1);
    }
  }
  return undefined;
}
