import { MemoryDatabase } from '../../../src/store/memory/database.ts';
import { WriteBuffer } from '../../../src/store/optimistic/writeBuffer.ts';
import { type Bytes, type Row } from '../../../src/store/store.ts';

type View = ReturnType<MemoryDatabase['view']>;

/** One commit as its database saw it: the keys it wrote, with what stood there before and what does now. */
export interface Committed {
  /** Store keys, one character per byte. */
  readonly keys: readonly string[];
  readonly before: (key: Bytes) => Bytes | undefined;
  readonly after: (key: Bytes) => Bytes | undefined;
}

/** A database whose every commit somebody looks at, in the turn in which it is made. */
export class ObservedDatabase extends MemoryDatabase {
  readonly #observe: (committed: Committed) => void;

  constructor(observe: (committed: Committed) => void) {
    super();
    this.#observe = observe;
  }

  override apply(buffer: WriteBuffer): void {
    const before = this.view();
    super.apply(buffer);
    const after = this.view();
    this.#observe({ keys: [...buffer.writes.keys()], before: (key) => before.get(key), after: (key) => after.get(key) });
  }
}

const everything = { start: Uint8Array.of(0), end: Uint8Array.of(255) };

function rowsOf(view: View): Row[] {
  return view.range(everything.start, everything.end, Infinity, 'forward');
}

/** What a database held at some time, to be restored or cloned from. */
export interface DatabaseCopy {
  readonly version: number;
  readonly rows: readonly Row[];
}

export function copyOf(database: MemoryDatabase): DatabaseCopy {
  const snapshot = database.open();
  snapshot.close();
  return { version: snapshot.version, rows: rowsOf(database.view()) };
}

/** Puts a copy into an empty database, at the version that it was taken at, so that later stamps are greater than those in it. */
export function restore(database: MemoryDatabase, { version, rows }: DatabaseCopy): void {
  const buffer = new WriteBuffer();
  for (const { key, value } of rows) buffer.set(key, value);
  for (let at = 1; at < version; at += 1) MemoryDatabase.prototype.apply.call(database, new WriteBuffer());
  if (version > 0) MemoryDatabase.prototype.apply.call(database, buffer);
}
