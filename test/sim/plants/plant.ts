import { type WriteSink } from '../../../src/aae/responder.ts';
import { type Tree } from '../../../src/aae/tree.ts';
import { type MeshDeps } from '../../../src/mesh/mesh.ts';
import { type Ledger } from '../../../src/grant/ledger.ts';
import { type Follower } from '../../../src/replica/follower.ts';
import { type Guard } from '../../../src/replica/guard.ts';
import { type Leases } from '../../../src/replica/lease.ts';
import { type Replica } from '../../../src/replica/replica.ts';
import { type Store } from '../../../src/store/store.ts';
import { type Front } from '../cluster/instance.ts';

/**
 * A bug that is planted on purpose, to see that the simulation would find it: real parts of an instance in a wrapper that does
 * one thing wrong. Each field wraps one part; nothing in src knows of it.
 */
export interface Plant {
  /** The store that everything of an instance uses. */
  readonly store?: (store: Store) => Store;
  /** The store that jobs under a lease use, before it is fenced. */
  readonly jobStore?: (store: Store, leases: Leases) => Store;
  /** The tree, as it follows the entries. */
  readonly follower?: (tree: Tree) => Follower;
  /** Where received writes go. */
  readonly sink?: (replica: Replica) => WriteSink;
  /** What the mesh is made of. */
  readonly mesh?: (deps: MeshDeps) => MeshDeps;
  /** What clients use. */
  readonly front?: (replica: Replica) => Front;
  /** Of a granted mesh: what is known of its authority, as writes are judged by it. */
  readonly ledger?: (ledger: Ledger) => Ledger;
  /** Of a granted mesh: what judges writes. */
  readonly guard?: (guard: Guard) => Guard;
  /** Of a granted mesh: what follows from new records. */
  readonly settling?: (replica: Replica) => Pick<Replica, 'settleAuthority'>;
}

/** As it should be. */
export const noPlant: Plant = {};
