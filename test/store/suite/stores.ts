import { type Bytes, type Range, type Row, type Store, type Transaction } from '../../../src/store/store.ts';
import { hasCode, type ErrorCode } from '../../../src/core/errors.ts';
import assert from 'node:assert/strict';

/** Two handles on one store; where the adapter allows only one, the same twice. */
export interface Stores extends AsyncDisposable {
  readonly store: Store;
  readonly other: Store;
  /** Commits fail now and then on purpose: work may run more often than it has to. */
  readonly failsOnPurpose?: boolean;
}

/** That many times; or, where commits fail on purpose, at least: what was committed unknown to its client runs again. */
export function assertTimes({ failsOnPurpose }: Stores, times: number | undefined, expected: number): void {
  if (failsOnPurpose !== true) assert.equal(times, expected);
  else assert.ok((times ?? 0) >= expected, `${String(times)} of ${expected}`);
}

export type OpenStores = () => Promise<Stores>;

/** A test on fresh stores. */
export function withStores(open: OpenStores, test: (stores: Stores) => Promise<void>): () => Promise<void> {
  return async () => {
    const stores = await open();
    try {
      await test(stores);
    } finally {
      await stores[Symbol.asyncDispose]();
    }
  };
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export const everything: Range = { start: bytes(''), end: bytes('\xff\xff') };

export function span(start: string, end: string): Range {
  return { start: bytes(start), end: bytes(end) };
}

export function text(value: Bytes | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString('latin1');
}

export function pairs(rows: readonly Row[]): string[] {
  return rows.map(({ key, value }) => `${text(key) ?? ''}=${text(value) ?? ''}`);
}

export async function put(store: Store, values: Record<string, string>): Promise<void> {
  await store.transact((tx) => {
    for (const [key, value] of Object.entries(values)) tx.set(bytes(key), bytes(value));
    return Promise.resolve();
  });
}

export function getText(store: Store, key: string): Promise<string | undefined> {
  return store.read(async (snapshot) => text(await snapshot.get(bytes(key))));
}

export function content(store: Store): Promise<string[]> {
  return store.read(async (snapshot) => pairs(await snapshot.range(everything, { limit: 10_000 })));
}

/** A transaction of writes alone. */
export function write(store: Store, work: (tx: Transaction) => void): Promise<void> {
  return store.transact((tx) => {
    work(tx);
    return Promise.resolve();
  });
}

export function rejectsWith(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert(hasCode(error, code), `expected ${code}, not ${String(error)}`);
    return true;
  });
}

/** A promise and what settles it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    opened,
    open: () => {
      open();
    },
  };
}
