import { ByteReader } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { boundLevelMax } from '../crypto/mesh.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot } from '../store/store.ts';

/** Which levels the tree has. `building` is a level that is complete for keys below its cursor, and takes no part in reads. */
export interface TreeState {
  /** Levels 1..active are complete. */
  readonly active: number;
  readonly building: { readonly cursor: Uint8Array } | undefined;
}

export const treeStateKey = storeKey(tables.treeState);

const stateFormat = 1;

/** format u8=1 | active u8 | building u8, 0 or 1 | if 1: cursorLen u16, cursor. */
export function encodeTreeState(state: TreeState): Uint8Array {
  const head = Uint8Array.of(stateFormat, state.active, state.building === undefined ? 0 : 1);
  if (state.building === undefined) return head;
  const { cursor } = state.building;
  return Buffer.concat([head, Uint8Array.of(cursor.length >> 8, cursor.length & 0xff), cursor]);
}

export function decodeTreeState(bytes: Uint8Array): TreeState {
  const reader = new ByteReader(bytes, 'tree state');
  const format = reader.u8();
  if (format !== stateFormat) throw reader.fail(`format ${format} is unknown, 1 is known`);
  const active = reader.u8();
  const isBuilding = reader.u8();
  if (active === 0 || active > boundLevelMax || isBuilding > 1) throw reader.fail('levels that cannot be');
  const building = isBuilding === 0 ? undefined : { cursor: reader.bytes(reader.u16()) };
  reader.end();
  return { active, building };
}

/** Error: `corrupt` where the tree was never made. */
export async function readTreeState(snapshot: Snapshot): Promise<TreeState> {
  const bytes = await snapshot.get(treeStateKey);
  if (bytes === undefined) throw new GkvError('corrupt', 'the store has no anti-entropy tree: it was not made by gkvmesh, or is damaged');
  return decodeTreeState(bytes);
}

/** One bound that came or went; a level that went whole is told as `dropped`, with an empty key. */
export interface BoundChange {
  readonly kind: 'added' | 'removed' | 'dropped';
  readonly level: number;
  readonly key: Uint8Array;
}

const kinds = ['added', 'removed', 'dropped'] as const;

/** Changes one behind the other: kind u8 | level u8 | keyLen u16, key. */
export function encodeBoundChanges(changes: readonly BoundChange[]): Uint8Array {
  const parts = changes.map(({ kind, level, key }) => {
    const head = Buffer.from([kinds.indexOf(kind), level, key.length >> 8, key.length & 0xff]);
    return Buffer.concat([head, key]);
  });
  return Buffer.concat(parts);
}

export function decodeBoundChanges(bytes: Uint8Array): BoundChange[] {
  const reader = new ByteReader(bytes, 'tree log');
  const changes: BoundChange[] = [];
  while (reader.left > 0) {
    const kind = kinds[reader.u8()];
    if (kind === undefined) throw reader.fail('a kind that is unknown');
    const change = { kind, level: reader.u8(), key: reader.bytes(reader.u16()) };
    if (change.level === 0 || change.level > boundLevelMax) throw reader.fail(`level ${change.level}, which cannot be`);
    if (kind === 'dropped' && change.key.length > 0) throw reader.fail('a level that went, with a key');
    changes.push(change);
  }
  return changes;
}
