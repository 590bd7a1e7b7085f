import { type Range, type RangeOptions, type Row, type Snapshot } from './store.ts';

/** Fills about one message; a caller that stops early has not read much too far. */
const pageRowsDefault = 256;

export interface ScanOptions extends Omit<RangeOptions, 'limit'> {
  /** Rows fetched at a time. */
  readonly pageRows?: number;
}

/** Every row of a range, in pages: a turn of the event loop's queue for each row would cost more than the row. A conflict range covers the pages that were fetched. */
export async function* scan(
  snapshot: Snapshot,
  range: Range,
  { pageRows = pageRowsDefault, ...options }: ScanOptions = {},
): AsyncGenerator<readonly Row[], void> {
  let { start, end } = range;
  for (;;) {
    const page = await snapshot.range({ start, end }, { ...options, limit: pageRows });
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageRows) return;
    if (options.order === 'reverse') end = last.key;
    else start = Buffer.concat([last.key, Buffer.of(0)]);
  }
}
