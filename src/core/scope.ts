import { type ByteReader, compareBytes, equalBytes } from './bytes.ts';
import { type ByteWriter } from './byteWriter.ts';
import { allKeys, inRange, prefixRange, rangeContains, type Key, type KeyRange } from './key.ts';

declare const scopeBrand: unique symbol;

/** The keys that a cluster holds, and may see: ranges that rise, with keys between them that are not in it. */
export type Scope = readonly KeyRange[] & { readonly [scopeBrand]: true };

/** Before the cluster id in the key of a member's record: who its members are every cluster of a mesh must know. */
export const membersPrefix: Uint8Array = Buffer.from('@system/peers/');

/** What lies in any of the ranges. */
export function scopeOf(ranges: readonly KeyRange[]): Scope {
  const rising = ranges.filter((range) => !isEmpty(range)).sort((a, b) => compareBytes(a.start, b.start));
  const joined: KeyRange[] = [];
  for (const range of rising) {
    const last = joined.at(-1);
    if (last === undefined || (last.end !== null && compareBytes(last.end, range.start) < 0)) joined.push(range);
    else joined[joined.length - 1] = { start: last.start, end: later(last.end, range.end) };
  }
  return joined as readonly KeyRange[] as Scope; // the only place that mints one
}

export const everything: Scope = scopeOf([allKeys]);
/** What is in the scope of each cluster. */
export const membersScope: Scope = scopeOf([prefixRange(membersPrefix)]);

export function isEverything(scope: Scope): boolean {
  return scope === everything || areEqual(scope, everything);
}

export function isInScope(key: Key, scope: Scope): boolean {
  return scope.some((range) => inRange(key, range));
}

export function intersection(a: Scope, b: Scope): Scope {
  return scopeOf(a.flatMap((range) => within(range, b)));
}

/** What of a range is in the scope. */
export function within(range: KeyRange, scope: Scope): KeyRange[] {
  const start = (other: KeyRange): Uint8Array => (compareBytes(range.start, other.start) < 0 ? other.start : range.start);
  return scope.map((other) => ({ start: start(other), end: earlier(range.end, other.end) })).filter((each) => !isEmpty(each));
}

/** What of all keys is not in it. */
export function outside(scope: Scope): KeyRange[] {
  const starts = [allKeys.start, ...scope.flatMap(({ end }) => end ?? [])];
  return starts.map((start, i) => ({ start, end: scope[i]?.start ?? null })).filter((range) => !isEmpty(range));
}

/** Whether the whole range is in the scope; an empty one is in any. */
export function isWithin(range: KeyRange, scope: Scope): boolean {
  return isEmpty(range) || scope.some((each) => rangeContains(each, range));
}

export function containsScope(outer: Scope, inner: Scope): boolean {
  return inner.every((range) => isWithin(range, outer));
}

export function areEqual(a: Scope, b: Scope): boolean {
  return containsScope(a, b) && containsScope(b, a);
}

/** Of two clusters that talk to each other, as they have proved. Left out where both hold everything. */
export interface Scopes {
  readonly own: Scope;
  readonly peer: Scope;
}

export function scopesOf(own: Scope, peer: Scope): Scopes | undefined {
  return isEverything(own) && isEverything(peer) ? undefined : { own, peer };
}

/** What may go between the two. */
export function commonScope(scopes: Scopes | undefined): Scope {
  return scopes === undefined ? everything : intersection(scopes.own, scopes.peer);
}

/** Whether the peer holds all that we hold. */
export function holdsOurs(scopes: Scopes | undefined): boolean {
  return scopes === undefined || containsScope(scopes.peer, scopes.own);
}

/** As people read it: a name with `**` behind it for all keys that begin so, where a range is that. */
export function scopeText(scope: Scope): string[] {
  return scope.map(({ start, end }) => {
    const name = Buffer.from(start).toString();
    const { end: prefixEnd } = prefixRange(start);
    const isPrefix = end === null || prefixEnd === null ? end === prefixEnd : equalBytes(end, prefixEnd);
    if (isPrefix) return `${name}**`;
    return end?.length === start.length + 1 && end.at(-1) === 0 ? name : `${name} … ${end === null ? '' : Buffer.from(end).toString()}`;
  });
}

const lastEdge = 0xffff;

/** count u8 | ranges, each: length u16, start | length u16, end; a length of 0xffff: past the last key. */
export function writeScope(out: ByteWriter, scope: Scope): void {
  out.u8(scope.length);
  for (const { start, end } of scope) {
    for (const edge of [start, end]) {
      out.u16(edge?.length ?? lastEdge);
      if (edge !== null) out.bytes(edge);
    }
  }
}

/** Errors: `malformed`. */
export function readScope(reader: ByteReader): Scope {
  const edge = (): Uint8Array | null => {
    const length = reader.u16();
    return length === lastEdge ? null : reader.bytes(length);
  };
  const ranges = Array.from({ length: reader.u8() }, () => ({ start: edge(), end: edge() }));
  return scopeOf(
    ranges.map(({ start, end }) => {
      if (start === null) throw reader.fail('a range that begins past the last key');
      return { start, end };
    }),
  );
}

function isEmpty({ start, end }: KeyRange): boolean {
  return end !== null && compareBytes(start, end) >= 0;
}

function earlier(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) < 0 ? a : b;
}

function later(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  return a === null || b === null ? null : earlier(a, b) === a ? b : a;
}
