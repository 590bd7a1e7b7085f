import { toHex } from '../../../src/core/bytes.ts';
import { type Head } from '../../../src/core/entry.ts';

/** One state of a key in one cluster, from a commit on. */
export interface Seen {
  /** version ‖ id in hex: its order as a string is the order of writes. */
  readonly rank: string;
  readonly version: string;
  readonly tombstone: boolean;
  readonly expiresAt: number;
  /** The stored value; empty for a tombstone. */
  readonly value: string;
  /** Lesser writes that came in its commit, and stay beside it: only the operations of that commit may have seen them. */
  readonly beside?: readonly Seen[];
}

const ranks = new WeakMap<Head, string>();

/** version ‖ id in hex. A head never changes, so it is told once. */
export function rankOf(head: Head): string {
  const known = ranks.get(head);
  if (known !== undefined) return known;
  const rank = toHex(head.version) + toHex(head.id);
  ranks.set(head, rank);
  return rank;
}

export function seenOf(head: Head, value: string): Seen {
  return { rank: rankOf(head), version: toHex(head.version), tombstone: head.tombstone, expiresAt: head.expiresAt, value };
}

export function readsAbsent({ tombstone, expiresAt }: Seen, wallMs: number): boolean {
  return tombstone || (expiresAt !== 0 && expiresAt <= wallMs);
}

const absent: Seen = { rank: '', version: '', tombstone: true, expiresAt: 0, value: '' };

/** Everything that one cluster ever held, key by key, in the order of its commits. */
export class RegionHistory {
  readonly #states = new Map<string, Seen[]>();
  readonly #greatest = new Map<string, Seen>();
  readonly #collected = new Map<string, string>();

  add(key: string, seen: Seen): void {
    const states = this.#states.get(key);
    if (states === undefined) this.#states.set(key, [seen]);
    else states.push(seen);
    const greatest = this.#greatest.get(key);
    if (greatest === undefined || seen.rank > greatest.rank) this.#greatest.set(key, seen);
  }

  /** The key reads as absent: nothing of what is left stands. */
  addAbsent(key: string): void {
    this.#states.set(key, [...this.of(key), absent]);
  }

  /** A key is gone by collection: its last write, as a rank. */
  collected(key: string, rank: string): void {
    this.#collected.set(key, rank);
  }

  of(key: string): readonly Seen[] {
    return this.#states.get(key) ?? [];
  }

  /** The greatest that the cluster ever held. */
  greatest(key: string): Seen | undefined {
    return this.#greatest.get(key);
  }

  wasCollected(key: string, rank: string): boolean {
    return (this.#collected.get(key) ?? '') >= rank;
  }

  keys(): IterableIterator<string> {
    return this.#states.keys();
  }

  /** What was on the disk is gone. */
  forget(): void {
    this.#states.clear();
    this.#greatest.clear();
    this.#collected.clear();
  }
}
