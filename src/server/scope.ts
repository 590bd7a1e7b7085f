import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { areEqual, everything, isEverything, outside, readScope, scopeText, writeScope, type Scope } from '../core/scope.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { type Ledger } from '../grant/ledger.ts';
import { replicatingLeaf, scopeOfChain } from '../grant/replicate.ts';
import { assertUnserved, fenceAll, isUnserved } from '../replica/unserved.ts';
import { type SlotSource } from '../replica/slots.ts';
import { storeKey, tableKeys, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { type OpenStore } from './openStore.ts';

/** meta "scope" → format u8=1 | scope. There where a store is for some keys alone; without it, it is for everything. */
const scopeKey = storeKey(tables.meta, Buffer.from('scope'));
const format = 1;

export interface ScopeDeps {
  readonly opened: Pick<OpenStore, 'store' | 'isShared'>;
  readonly ledger: Pick<Ledger, 'known'>;
  /** The cluster's key. */
  readonly signer: Pick<SigningKey, 'publicKey'>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * What the store is for, before anything commits in this process. That is fixed when it is first started with a grant to replicate some keys alone, and none for everything: a store without such
 * a grant, or with other keys in it, is for everything. Error: `data_locked` where other instances serve while it is fixed.
 */
export async function settleScope({ opened, ledger, signer, clock, log }: ScopeDeps): Promise<Scope> {
  const { store } = opened;
  const stored = await store.read(storedScope);
  if (stored !== undefined) return stored;
  const now = clock.now();
  const wanted = narrowScope(ledger.known, signer.publicKey, now);
  if (wanted === undefined) return everything;
  if (replicatingLeaf(ledger.known, signer.publicKey, now, { scope: everything }).kind === 'allowed') {
    log.warn(
      { scope: scopeText(wanted) },
      'its key holds a grant to replicate some keys alone, and one on **: the store is for everything',
    );
    return everything;
  }
  try {
    if (opened.isShared) await endOthers(store, clock);
    return await store.transact((tx) => fixed(tx, wanted, log));
  } catch (error) {
    const meanwhile = hasCode(error, 'data_locked') ? await store.read(storedScope) : undefined; // by an instance that began just before
    if (meanwhile === undefined) throw error;
    return meanwhile;
  }
}

/** So many grants on everything are looked past. */
const wholeMax = 16;

/** What a grant to replicate some keys alone is for; undefined where the key holds none. */
function narrowScope(known: Ledger['known'], holder: Uint8Array, atMs: number): Scope | undefined {
  const tried: Uint8Array[] = [];
  while (tried.length < wholeMax) {
    const answer = replicatingLeaf(known, holder, atMs, { tried });
    if (answer.kind === 'refused') return undefined;
    const scope = scopeOfChain(answer.chain);
    if (!isEverything(scope)) return scope;
    tried.push(...answer.chain.slice(-1).map(({ id }) => id));
  }
  return undefined;
}

/** Whoever takes a slot, at its start or later, looks again what the store is for: from then on nobody fixes it. Error: `data_locked` too, where another instance has. */
export function slotsWithin(slots: SlotSource, store: Store, scope: Scope): SlotSource {
  return {
    take: async () => {
      const held = await slots.take();
      await assertScope(store, scope);
      return held;
    },
  };
}

async function assertScope(store: Store, scope: Scope): Promise<void> {
  const stored = (await store.read(storedScope)) ?? everything;
  if (!areEqual(stored, scope))
    throw new GkvError('data_locked', `another instance has made this store one for ${scopeText(stored).join(' ')}: start again`);
}

async function endOthers(store: Store, clock: Clock): Promise<void> {
  await assertUnserved(store, clock);
  await store.transact(fenceAll);
}

async function fixed(tx: Transaction, wanted: Scope, log: Log): Promise<Scope> {
  if (!(await isUnserved(tx)))
    throw new GkvError('data_locked', 'another instance has begun to serve from this store: stop all of them first');
  for (const range of outside(wanted)) {
    const [held] = await tx.range(tableKeys(tables.head, range), { limit: 1 });
    if (held === undefined) continue;
    log.warn(
      { scope: scopeText(wanted) },
      'this store holds other keys than its grant lets it replicate, so it replicates nothing: begin with an empty one',
    );
    return everything;
  }
  const out = new ByteWriter();
  out.u8(format);
  writeScope(out, wanted);
  tx.set(scopeKey, out.done());
  return wanted;
}

async function storedScope(snapshot: Snapshot): Promise<Scope | undefined> {
  const bytes = await snapshot.get(scopeKey);
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes, 'scope');
  const found = reader.u8();
  if (found !== format) throw new GkvError('format_unknown', `the store's scope has format ${found}: it was made by a newer gkvmesh`);
  const scope = readScope(reader);
  reader.end();
  return scope;
}
