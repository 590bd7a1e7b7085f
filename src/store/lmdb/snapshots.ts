/**
 * The snapshots that transactions and readers share: one per version, opened when its commit can be seen, as LMDB can
 * only open the newest. Transactions take the newest; readers take the newest that is synced, so that nothing leaves
 * the process that a power failure could take back.
 */
import { type OpenSnapshot } from '../optimistic/snapshot.ts';

export class Snapshots {
  readonly #open: (version: number) => OpenSnapshot;
  /** Ascending by version, from the synced to the newest. */
  #line: readonly [Shared, ...Shared[]];

  constructor(open: (version: number) => OpenSnapshot, version: number) {
    this.#open = open;
    this.#line = [new Shared(open(version))];
  }

  get newest(): Shared {
    return this.#line.at(-1) ?? this.synced;
  }

  get synced(): Shared {
    return this.#line[0];
  }

  /** A commit can be seen. */
  seen(version: number): void {
    this.#line = [...this.#line, new Shared(this.#open(version))];
  }

  /** A commit is synced: what was there before it is given up. */
  syncedThrough(version: number): void {
    while (this.#line[0].version < version) {
      const [oldest, next, ...rest] = this.#line;
      if (next === undefined) return;
      this.#line = [next, ...rest];
      oldest.release();
    }
  }

  close(): void {
    for (const snapshot of this.#line) snapshot.release();
  }
}

/** A snapshot that closes when nobody holds it any more. */
export class Shared {
  readonly #snapshot: OpenSnapshot;
  #holders = 1;

  constructor(snapshot: OpenSnapshot) {
    this.#snapshot = snapshot;
  }

  get version(): number {
    return this.#snapshot.version;
  }

  get base(): OpenSnapshot['base'] {
    return this.#snapshot.base;
  }

  /** A share of it, to be closed once; `onClose` is called then. */
  share(onClose: () => void = () => undefined): OpenSnapshot {
    this.#holders += 1;
    let isClosed = false;
    const close = (): void => {
      if (isClosed) return;
      isClosed = true;
      this.release();
      onClose();
    };
    return { version: this.version, base: this.base, close };
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#snapshot.close();
  }
}
