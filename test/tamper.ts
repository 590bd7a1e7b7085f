import { parseKey } from '../src/core/key.ts';
import { headKey } from '../src/replica/change.ts';
import { type Store } from '../src/store/store.ts';

/** Changes a value where it lies in a store, beside its signed write: a small one (R11), into another of as many bytes. */
export async function alterValue(store: Store, name: string, from: string, to: string): Promise<void> {
  if (Buffer.byteLength(from) !== Buffer.byteLength(to)) throw new Error(`${from} and ${to} differ in length`);
  await store.transact(async (tx) => {
    const row = headKey(parseKey(Buffer.from(name)));
    const entry = Buffer.from((await tx.get(row)) ?? new Uint8Array(0));
    const at = entry.lastIndexOf(from);
    if (at < 0) throw new Error(`${name} does not hold ${from}`);
    entry.write(to, at);
    tx.set(row, entry);
  });
}
