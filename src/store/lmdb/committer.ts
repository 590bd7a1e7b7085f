/**
 * Puts transactions into the store, one LMDB commit after the other. What is submitted while a commit is being written
 * goes into the next one together; the next one begins when the one before can be seen, while that is still being
 * synced.
 */
import { GkvError } from '../../core/errors.ts';
import { type Log } from '../../core/ports.ts';
import { RecentCommits } from '../optimistic/conflicts.ts';
import { type OpenSnapshot } from '../optimistic/snapshot.ts';
import { type OptimisticTransaction } from '../optimistic/transaction.ts';
import { type Watches } from '../optimistic/watches.ts';
import { type Environment } from './environment.ts';
import { Group } from './group.ts';
import { Snapshots } from './snapshots.ts';

const groupMembersMax = 1_024;
/** A group takes no further member beyond this. */
const groupBytesMax = 16_000_000;

interface Submitted {
  readonly tx: OptimisticTransaction;
  readonly onVisible: (() => void) | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Committer {
  readonly #environment: Environment;
  readonly #watches: Watches;
  readonly #log: Log;
  readonly #snapshots: Snapshots;
  readonly #recent = new RecentCommits();
  readonly #queue: Submitted[] = [];
  /** Commits that are not synced yet, by version. */
  readonly #unsynced = new Map<number, Promise<void>>();
  #version: number;
  /** Settles when the commit that is being written can be seen, or has failed. */
  #writing: Promise<void> | undefined;
  #isBroken = false;

  constructor(environment: Environment, watches: Watches, log: Log) {
    this.#environment = environment;
    this.#watches = watches;
    this.#log = log;
    this.#version = environment.version;
    this.#snapshots = new Snapshots((version) => environment.open(version), this.#version);
  }

  /** A snapshot of everything that can be seen, which later commits are checked against until it is closed. */
  readonly openNewest = (): OpenSnapshot => {
    const { newest } = this.#snapshots;
    this.#recent.begin(newest.version);
    return newest.share(() => {
      this.#recent.end(newest.version);
    });
  };

  /** A snapshot of everything that is synced. */
  readonly openSynced = (): OpenSnapshot => this.#snapshots.synced.share();

  /** Resolves when the transaction is synced. Rejects with `store_conflict` if what it read has changed. */
  async commit(tx: OptimisticTransaction, onVisible?: () => void): Promise<void> {
    if (tx.buffer.isEmpty) {
      tx.checkCommittable();
      onVisible?.();
      // What it has read may still be on its way to the disk.
      await this.#unsynced.get(tx.readVersion ?? 0);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.#queue.push({ tx, onVisible, resolve, reject });
      this.#pump();
    });
  }

  /** Resolves when a new snapshot shows the commit that is being written. */
  async caughtUp(): Promise<void> {
    await this.#writing;
  }

  close(): void {
    this.#snapshots.close();
  }

  #pump(): void {
    while (this.#writing === undefined && this.#queue.length > 0) {
      const group = new Group(this.#version + 1, this.#snapshots.newest.base);
      const members = this.#takeMembers().filter((member) => this.#admit(member, group));
      if (members.length > 0) this.#write(group, members);
    }
  }

  #takeMembers(): Submitted[] {
    let count = 0;
    for (let bytes = 0; count < Math.min(this.#queue.length, groupMembersMax) && bytes < groupBytesMax; count += 1) {
      bytes += this.#queue[count]?.tx.bytes ?? 0;
    }
    return this.#queue.splice(0, count);
  }

  #admit({ tx, reject }: Submitted, group: Group): boolean {
    try {
      if (this.#isBroken) throw new GkvError('unavailable', 'a sync to disk has failed; check the disk, and restart');
      tx.checkCommittable();
      if (tx.readVersion !== undefined && this.#recent.conflict(tx.reads, tx.readVersion)) {
        throw new GkvError('store_conflict', 'another transaction wrote what this one has read');
      }
      group.add(tx.buffer);
      this.#recent.record(group.version, tx.buffer);
      return true;
    } catch (error) {
      reject(error);
      return false;
    }
  }

  #write(group: Group, members: readonly Submitted[]): void {
    this.#version = group.version;
    let settleWriting = (): void => undefined;
    this.#writing = new Promise((resolve) => (settleWriting = resolve));
    let isSeen = false;
    const onVisible = (): void => {
      if (isSeen) return;
      isSeen = true;
      this.#snapshots.seen(group.version);
      this.#writing = undefined;
      settleWriting();
      try {
        for (const member of members) member.onVisible?.();
      } finally {
        this.#pump();
      }
    };
    const onSynced = (): void => {
      onVisible();
      this.#unsynced.delete(group.version);
      this.#snapshots.syncedThrough(group.version);
      for (const { tx, resolve } of members) {
        this.#watches.written(tx.buffer);
        resolve();
      }
    };
    const onFailed = (error: unknown): void => {
      this.#unsynced.delete(group.version);
      if (isSeen) this.#break(error);
      else this.#writing = undefined;
      settleWriting();
      for (const { reject } of members) reject(error);
      this.#pump();
    };
    const synced = this.#environment.commit(group.writes, group.version, onVisible);
    this.#unsynced.set(group.version, synced);
    synced.then(onSynced, onFailed);
  }

  /** What was seen cannot be taken back, and whether it will be on the disk nobody knows: nothing may build on it. */
  #break(error: unknown): void {
    this.#isBroken = true;
    this.#log.error({ err: error }, 'a sync to disk has failed: no more writes until a restart');
  }
}
