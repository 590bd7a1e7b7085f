/**
 * Who read what, and who has written since: what makes optimistic transactions serialisable. A transaction may commit
 * if no commit after the version it read has written into what it read.
 */
import { GkvError } from '../../core/errors.ts';
import { lowerBound, type RangeSet, type Span } from './ranges.ts';
import { byteOrder } from './sortedKeys.ts';
import { type Text } from './text.ts';
import { type WriteBuffer } from './writeBuffer.ts';

/** Keys of remembered commits; the oldest commits beyond are forgotten, and transactions from before them are too old. */
const rememberedKeysMax = 1_000_000;

/** What one transaction read. Only collected here; ordered by nobody until there is a commit to check against. */
export class ReadConflicts {
  readonly keys: Text[] = [];
  readonly spans: Span[] = [];

  get isEmpty(): boolean {
    return this.keys.length === 0 && this.spans.length === 0;
  }
}

/** What one commit wrote, indexed when first asked. */
class CommitWrites {
  readonly #keys: readonly Text[];
  readonly #cleared: RangeSet;
  #set: Set<Text> | undefined;
  #sorted: Text[] | undefined;
  readonly version: number;

  constructor(version: number, buffer: WriteBuffer) {
    this.version = version;
    this.#keys = [...buffer.writes.keys()];
    this.#cleared = buffer.cleared;
  }

  get size(): number {
    return this.#keys.length + this.#cleared.spans.length;
  }

  touches(reads: ReadConflicts): boolean {
    return this.#touchesKeys(reads.keys) || reads.spans.some((span) => this.#touchesSpan(span));
  }

  #touchesKeys(keys: readonly Text[]): boolean {
    if (keys.length === 0) return false;
    const written = (this.#set ??= new Set(this.#keys));
    return keys.some((key) => written.has(key) || this.#cleared.has(key));
  }

  #touchesSpan(span: Span): boolean {
    const sorted = (this.#sorted ??= this.#keys.toSorted(byteOrder));
    const first = sorted[lowerBound(sorted, span.start)];
    return (first !== undefined && first < span.end) || this.#cleared.intersects(span);
  }
}

export class RecentCommits {
  /** Ascending by version. */
  #commits: CommitWrites[] = [];
  #keys = 0;
  /** Versions that unfinished transactions read → how many; ascending, as snapshots only get newer. */
  readonly #readers = new Map<number, number>();
  #forgottenThrough = 0;
  readonly #keysMax: number;

  constructor(keysMax = rememberedKeysMax) {
    this.#keysMax = keysMax;
  }

  /** A transaction reads `version`: what is committed after it stays known until `end(version)`. */
  begin(version: number): void {
    this.#readers.set(version, (this.#readers.get(version) ?? 0) + 1);
  }

  end(version: number): void {
    const left = (this.#readers.get(version) ?? 0) - 1;
    if (left > 0) this.#readers.set(version, left);
    else this.#readers.delete(version);
    this.#prune();
  }

  record(version: number, buffer: WriteBuffer): void {
    if (this.#readers.size === 0) return;
    const commit = new CommitWrites(version, buffer);
    this.#commits.push(commit);
    this.#keys += commit.size;
    while (this.#keys > this.#keysMax) this.#forgetOldest();
  }

  /** True if something was written after `version` into what `reads` names. Throws when that is no longer known. */
  conflict(reads: ReadConflicts, version: number): boolean {
    if (reads.isEmpty) return false;
    if (version < this.#forgottenThrough) {
      throw new GkvError('transaction_too_old', `more than ${this.#keysMax} keys were written during a transaction`);
    }
    for (let at = this.#commits.length - 1; at >= 0; at -= 1) {
      const commit = this.#commits[at];
      if (commit === undefined || commit.version <= version) return false;
      if (commit.touches(reads)) return true;
    }
    return false;
  }

  #prune(): void {
    const [oldest = Infinity] = this.#readers.keys();
    for (let first = this.#commits[0]; first !== undefined && first.version <= oldest; first = this.#commits[0]) {
      this.#keys -= first.size;
      this.#commits.shift();
    }
  }

  #forgetOldest(): void {
    const oldest = this.#commits.shift();
    if (oldest === undefined) return;
    this.#keys -= oldest.size;
    this.#forgottenThrough = oldest.version;
  }
}
