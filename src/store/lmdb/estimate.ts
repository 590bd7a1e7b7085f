/**
 * How much lies in a range, from a few short reads: LMDB keeps no count below a whole tree. Keys are taken as numbers;
 * the range is cut into equal steps, and how dense the rows are at the beginning of a step is taken for all of it.
 */
import { type Base } from '../optimistic/merge.ts';
import { type Bytes, type Range, type Row } from '../store.ts';

const exactRowsMax = 512;
const steps = 24;
const probedRows = 24;
/** Bytes of a key, behind what all keys of the range have in common, that make its number: one below 2^48. */
const numberBytes = 6;

export function estimateBytes(base: Base, { start, end }: Range): number {
  if (Buffer.compare(start, end) >= 0) return 0;
  const head = base.range(start, end, exactRowsMax, 'forward');
  const [first] = head;
  const [last] = base.range(start, end, 1, 'reverse');
  if (first === undefined || last === undefined || head.length < exactRowsMax) return bytesOfRows(head);

  const prefix = sharedPrefix(first.key, last.key);
  const low = numberOf(first.key, prefix.length);
  const width = (numberOf(last.key, prefix.length) - low) / steps;
  let total = 0;
  for (let step = 0; step < steps; step += 1) {
    const from = low + width * step;
    const rows = base.range(keyOf(prefix, from), end, probedRows, 'forward');
    const reached = numberOf(rows.at(-1)?.key ?? last.key, prefix.length);
    total += bytesOfRows(rows) * (width / Math.max(reached - from, 1));
  }
  return Math.round(Math.max(total, bytesOfRows(head)));
}

function bytesOfRows(rows: readonly Row[]): number {
  return rows.reduce((bytes, { key, value }) => bytes + key.length + value.length, 0);
}

function sharedPrefix(a: Bytes, b: Bytes): Bytes {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) length += 1;
  return a.subarray(0, length);
}

function numberOf(key: Bytes, offset: number): number {
  let number = 0;
  for (let at = offset; at < offset + numberBytes; at += 1) number = number * 256 + (key[at] ?? 0);
  return number;
}

function keyOf(prefix: Bytes, number: number): Bytes {
  const tail = Buffer.alloc(numberBytes);
  tail.writeUIntBE(Math.floor(number), 0, numberBytes);
  return Buffer.concat([prefix, tail]);
}
