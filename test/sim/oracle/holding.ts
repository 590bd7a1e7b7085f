import { toHex } from '../../../src/core/bytes.ts';
import { type Entry, type Head } from '../../../src/core/entry.ts';
import { rankOf, RegionHistory } from './history.ts';

/** What one cluster of a granted mesh holds: its records, the candidates of each key, and what its keys have read as. */
export class Holding {
  readonly history = new RegionHistory();
  readonly #records = new Set<string>();
  readonly #order: string[] = [];
  readonly #entries = new Map<string, Entry>();
  /** key → leaf → the greatest that it ever held. */
  readonly #ever = new Map<string, Map<string, Head>>();
  readonly #collected = new Map<string, readonly Head[]>();

  /** Ids of the records that it knows, in the order in which it learned them. */
  get records(): readonly string[] {
    return this.#order;
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  learn(id: string): void {
    if (this.#records.has(id)) return;
    this.#records.add(id);
    this.#order.push(id);
  }

  entry(key: string): Entry {
    return this.#entries.get(key) ?? [];
  }

  put(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    const ever = this.#ever.get(key) ?? new Map<string, Head>();
    this.#ever.set(key, ever);
    for (const head of entry) {
      const before = ever.get(toHex(head.leaf));
      if (before === undefined || rankOf(before) < rankOf(head)) ever.set(toHex(head.leaf), head);
    }
  }

  /** The greatest of each leaf that it held since its disk is what it is. */
  ever(key: string): readonly Head[] {
    return [...(this.#ever.get(key)?.values() ?? [])];
  }

  /** The floor took it away. */
  collect(key: string, head: Head): void {
    this.#collected.set(key, [...this.collected(key), head]);
  }

  collected(key: string): readonly Head[] {
    return this.#collected.get(key) ?? [];
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** What was on the disk is gone. */
  forget(): void {
    this.history.forget();
    this.#records.clear();
    this.#order.length = 0;
    this.#entries.clear();
    this.#ever.clear();
    this.#collected.clear();
  }
}
