import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { uuidText } from '../core/uuid.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { type Credentials, type Party } from './handshake.ts';

/** Which key is which member's: the one that was proved first for its cluster id, for as long as that one may replicate. */
export class MemberKeys {
  readonly #store: Store;
  readonly #isMember: (name: string) => boolean;
  /** By the cluster id in hex; what the store has. */
  readonly #kept = new Map<string, Uint8Array>();

  /** Of clusters that are no members, by their ids in hex, nothing is kept. */
  constructor(store: Store, isMember: (name: string) => boolean) {
    this.#store = store;
    this.#isMember = isMember;
  }

  /** Of a key that is proved and may replicate. `stands`: whether another may; it is asked in a transaction. Error: `peer_unproven` where the cluster id is another key's. */
  async check({ clusterId, key }: Pick<Party & Credentials, 'clusterId' | 'key'>, stands: (key: Uint8Array) => boolean): Promise<void> {
    const name = toHex(clusterId);
    const kept = this.#kept.get(name);
    if (kept !== undefined && equalBytes(kept, key)) return;
    const stored = await this.#store.read((snapshot) => readKey(snapshot, clusterId));
    if (stored === undefined && !this.#isMember(name)) return;
    const bound = stored !== undefined && equalBytes(stored, key) ? stored : await this.#bind(clusterId, key, stands);
    if (this.#kept.size >= limits.membersMax) this.#kept.clear();
    this.#kept.set(name, bound);
    if (!equalBytes(bound, key))
      throw new GkvError(
        'peer_unproven',
        `key ${toHex(key)} is not that of cluster ${uuidText(clusterId)}, which has proved key ${toHex(bound)}: where it has another one now, revoke the grant of the old one`,
      );
  }

  /** Whose the cluster id is then. */
  #bind(clusterId: Uint8Array, key: Uint8Array, stands: (key: Uint8Array) => boolean): Promise<Uint8Array> {
    const own = Uint8Array.from(key);
    return this.#store.transact(async (tx) => {
      const stored = await readKey(tx, clusterId);
      if (stored !== undefined && (equalBytes(stored, own) || stands(stored))) return stored;
      tx.set(memberKeyKey(clusterId), own);
      return own;
    });
  }
}

/** memberKey/<cluster id 16> → key 32. */
function memberKeyKey(clusterId: Uint8Array): Uint8Array {
  return storeKey(tables.memberKey, clusterId);
}

async function readKey(snapshot: Snapshot, clusterId: Uint8Array): Promise<Uint8Array | undefined> {
  const bytes = await snapshot.get(memberKeyKey(clusterId));
  return bytes === undefined ? undefined : Uint8Array.from(bytes);
}
