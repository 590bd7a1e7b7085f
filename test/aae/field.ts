import { decodeEntry } from '../../src/core/entry.ts';
import { type Key } from '../../src/core/key.ts';
import { growStep } from '../../src/aae/grow.ts';
import { readTreeState } from '../../src/aae/records.ts';
import { applyChanges, headKey } from '../../src/replica/change.ts';
import { collectionFollower } from '../../src/replica/derived.ts';
import { feedFollower } from '../../src/replica/feed.ts';
import { type EntryChange } from '../../src/replica/follower.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { DenseDigests, key, remove, set, type Instance } from './world.ts';

const fan = 3;
const digests = new DenseDigests(fan);
const spares = 6;
const branches = 5;

/** A branch of the level under test: names in order that bound it no further, and names that would split it. */
export interface Branch {
  readonly plain: readonly string[];
  readonly bounding: readonly string[];
}

export interface Field {
  readonly level: number;
  /** What stands there from the beginning: each branch's own bound, and every other plain key. */
  readonly base: readonly string[];
  readonly branches: readonly Branch[];
}

/** Five neighbouring branches of a level, each with room for six bounds more. */
export function makeField(level: number): Field {
  const names = Array.from({ length: 2_000 }, (_, i) => `n${String(i).padStart(4, '0')}`);
  const base: string[] = [];
  const made: { plain: string[]; bounding: string[] }[] = [];
  for (const name of names) {
    const bounds = digests.boundLevel(key(name)) >= level;
    const last = made.at(-1);
    if (bounds && (last === undefined || last.bounding.length === spares)) {
      if (made.length === branches) break;
      base.push(name);
      made.push({ plain: [], bounding: [] });
    } else if (bounds) last?.bounding.push(name);
    else last?.plain.push(name);
  }
  for (const { plain } of made) base.push(...plain.filter((_, i) => i % 2 === 0));
  return { level, base, branches: made };
}

/** Loads the field, and builds levels up to its own. */
export async function loadField(instance: Instance, field: Field): Promise<void> {
  await instance.replica.write(field.base.map((name) => set(name, 'base')));
  while ((await instance.store.read(readTreeState)).active < field.level)
    await growStep(instance.store, instance.digests, { max: 0, min: 0 });
}

export const fieldFan = fan;

/** Takes these tombstones away in one transaction, as collection does. */
export async function collectOnly({ store, tree }: Instance, names: readonly string[]): Promise<void> {
  await store.transact(async (tx) => {
    const changes: EntryChange[] = [];
    for (const name of names) {
      const bytes = await tx.get(headKey(key(name)));
      if (bytes !== undefined) changes.push({ key: key(name), before: decodeEntry(bytes), after: undefined });
    }
    await applyChanges(tx, changes, [feedFollower(1), collectionFollower, tree]);
  });
}

export async function hasHead({ store }: Instance, name: Key): Promise<boolean> {
  return store.read(async (snapshot) => (await snapshot.get(headKey(name))) !== undefined);
}

export const setOf = (names: readonly string[], value: string): WriteOp[] => names.map((name) => set(name, value));
export const removalsOf = (names: readonly string[]): WriteOp[] => names.map(remove);
