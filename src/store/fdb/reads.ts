import { GkvError } from '../../core/errors.ts';
import { type Bytes, type Range, type RangeOptions, type Row, storeLimits } from '../store.ts';
import { type Driver, type NativeTransaction } from './driver.ts';
import { type Layout, partBytes, type Span } from './layout.ts';

const partsMax = Math.ceil(storeLimits.valueBytesMax / partBytes);

/** Reads of rows through one of the driver's transactions, or a snapshot view of it. */
export async function readRow(driver: Driver, view: NativeTransaction, layout: Layout, key: Bytes): Promise<Bytes | undefined> {
  const value = await view.get(layout.row(key));
  return value === undefined ? undefined : whole(driver, view, layout, { key, value });
}

/** At most `limit` rows; the driver's conflict range ends with the last row. */
export async function readRows(
  driver: Driver,
  view: NativeTransaction,
  layout: Layout,
  range: Range,
  { limit, order = 'forward' }: Pick<RangeOptions, 'limit' | 'order'>,
): Promise<Row[]> {
  if (Buffer.compare(range.start, range.end) >= 0) return [];
  const found = await readSpan(driver, view, layout.rows(range), { limit, order });
  const rows: Row[] = [];
  for (const [row, value] of found) {
    const key = layout.keyOf(row);
    rows.push({ key, value: value.length === partBytes ? await whole(driver, view, layout, { key, value }) : value });
  }
  return rows;
}

async function readSpan(
  driver: Driver,
  view: NativeTransaction,
  span: Span,
  { limit, order }: { limit: number; order: 'forward' | 'reverse' },
): Promise<[Buffer, Buffer][]> {
  const { firstGreaterOrEqual, firstGreaterThan } = driver.keySelector;
  const found: [Buffer, Buffer][] = [];
  let start = firstGreaterOrEqual<string | Buffer>(span.start);
  let end = firstGreaterOrEqual<string | Buffer>(span.end);
  for (let page = 1; ; page += 1) {
    const { results, more } = await view.getRangeNative(
      start,
      end,
      limit - found.length,
      0,
      driver.StreamingMode.WantAll,
      page,
      order === 'reverse',
    );
    for (const row of results) found.push(row);
    const last = found.at(-1);
    if (!more || last === undefined || found.length >= limit) return found;
    if (order === 'reverse') end = firstGreaterOrEqual<string | Buffer>(last[0]);
    else start = firstGreaterThan<string | Buffer>(last[0]);
  }
}

/**
 * Joins a value with its parts. They are read without conflict: who changes them rewrites the row too, and the caller has read that.
 */
async function whole(
  driver: Driver,
  view: NativeTransaction,
  layout: Layout,
  { key, value }: { key: Bytes; value: Buffer },
): Promise<Bytes> {
  if (value.length < partBytes) return value;
  const parts = await readSpan(driver, view.snapshot(), layout.partsOf(key), { limit: partsMax + 1, order: 'forward' });
  if (parts.length > partsMax) throw new GkvError('corrupt', `a value in FoundationDB has more than ${partsMax} parts`);
  return Buffer.concat([value, ...parts.map(([, part]) => part)]);
}
