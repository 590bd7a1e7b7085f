/**
 * How much lies in a range, from some short reads: LMDB keeps no count below a whole tree. Keys are taken as numbers. How
 * dense the rows are where an interval begins is taken for all of it, and the interval that weighs most is halved until
 * enough was read.
 */
import { type Base } from '../optimistic/merge.ts';
import { type Bytes, type Range, type Row } from '../store.ts';

const exactRowsMax = 512;
const halvings = 96;
const probedRows = 12;
/** Bytes of a key, behind what all keys of the range have in common, that make its number: one below 2^48. */
const numberBytes = 6;

export function estimateBytes(base: Base, { start, end }: Range): number {
  if (Buffer.compare(start, end) >= 0) return 0;
  const head = base.range(start, end, exactRowsMax, 'forward');
  const [first] = head;
  const [last] = base.range(start, end, 1, 'reverse');
  if (first === undefined || last === undefined || head.length < exactRowsMax) return bytesOfRows(head);

  const prefix = sharedPrefix(first.key, last.key);
  const weigh = (from: number, to: number): Interval => weighed(base, prefix, from, to);
  const intervals = [weigh(numberOf(first.key, prefix.length), numberOf(last.key, prefix.length) + 1)];
  for (let halving = 0; halving < halvings; halving += 1) {
    const heaviest = intervals.reduce((a, b) => (estimated(b) > estimated(a) ? b : a));
    if (heaviest.isExact || heaviest.to - heaviest.from < 2) break;
    const middle = Math.floor((heaviest.from + heaviest.to) / 2);
    intervals.splice(intervals.indexOf(heaviest), 1, weigh(heaviest.from, middle), weigh(middle, heaviest.to));
  }
  const total = intervals.reduce((bytes, interval) => bytes + interval.bytes, 0);
  return Math.round(Math.max(total, bytesOfRows(head)));
}

/** Of numbers, half-open. */
interface Interval {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  /** All its rows were read. */
  readonly isExact: boolean;
}

function estimated({ bytes, isExact }: Interval): number {
  return isExact ? 0 : bytes;
}

function weighed(base: Base, prefix: Bytes, from: number, to: number): Interval {
  const rows = base.range(keyOf(prefix, from), keyOf(prefix, to), probedRows, 'forward');
  const last = rows.at(-1);
  if (last === undefined || rows.length < probedRows) return { from, to, bytes: bytesOfRows(rows), isExact: true };
  const reached = numberOf(last.key, prefix.length) - from;
  return { from, to, bytes: bytesOfRows(rows) * ((to - from) / Math.max(reached, 1)), isExact: false };
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
  tail.writeUIntBE(Math.min(number, 2 ** 48 - 1), 0, numberBytes);
  return Buffer.concat([prefix, tail]);
}
