/**
 * The LMDB environment in a directory: snapshots, and commits that LMDB's own thread writes. What is known of lmdb-js
 * beyond its documentation stands here and in SPEC.md.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { type Database, open, type RootDatabase } from 'lmdb';
import { asBuffer } from '../../core/bytes.ts';
import { type OpenSnapshot } from '../optimistic/snapshot.ts';
import { type Bytes } from '../store.ts';
import { LmdbBase } from './base.ts';
import { checkNotCutOff, pageBytes } from './dataFile.ts';
import { cutShort, failureOf } from './failures.ts';
import { dataFile, syncPath } from './format.ts';

/** Address space only; the file grows as it is written, and a full map cannot be enlarged while it is used. */
const mapBytes = 2 ** 40;
/** Slots for snapshots: one per version that somebody still reads. Each is a cache line of lock.mdb. */
const snapshotsMax = 4_096;

const versionKey = Buffer.from('version');

/** A value of undefined removes the key. */
export interface KeyValue {
  readonly key: Bytes;
  readonly value: Bytes | undefined;
}

/** lmdb-js' own handle on the environment. Not in its types, so nothing here is relied upon but to be quicker. */
interface NativeEnvironment {
  readonly startWriting?: StartWriting;
}
type StartWriting = (address: number, callback: (status: number) => unknown) => void;

/** What the native code reports; anything else is an error's number. We have no callbacks. */
const syncedStatus = 0;
const visibleStatus = 1;
const callbackStatus = 2;

interface CommitEvents {
  visible(): void;
  failed(status: number): void;
}

export class Environment {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #rows: Database<Buffer, Uint8Array>;
  readonly #meta: Database<Buffer, Uint8Array>;
  readonly #dataPath: string;
  #queued: CommitEvents | undefined;

  private constructor(root: RootDatabase<Buffer, Uint8Array>, dataPath: string) {
    this.#root = root;
    this.#dataPath = dataPath;
    this.#rows = root.openDB<Buffer, Uint8Array>({ name: 'rows', ...binary });
    this.#meta = root.openDB<Buffer, Uint8Array>({ name: 'meta', ...binary });
    this.#listen();
  }

  /** Opens the environment, made if it is not there, or throws what is wrong with it. */
  static open(dir: string): Environment {
    const dataPath = join(dir, dataFile);
    checkNotCutOff(dataPath);
    const root = open<Buffer, Uint8Array>({
      path: dir,
      noSubdir: false, // else a name with a dot in it is taken for that of a file
      maxDbs: 2,
      maxReaders: snapshotsMax,
      mapSize: mapBytes,
      pageSize: pageBytes,
      noMemInit: true,
      eventTurnBatching: false,
      // After a crash: the last state that was synced, not the last that was seen. See SPEC.md, L6.
      ...{ safeRestore: true },
      ...binary,
    });
    try {
      syncPath(dir);
      return new Environment(root, dataPath);
    } catch (error) {
      void root.close();
      throw error;
    }
  }

  /** The version of the last commit that can be seen, 0 in a new environment. */
  get version(): number {
    this.#root.resetReadTxn();
    const stored = this.#meta.get(versionKey);
    return stored === undefined ? 0 : Number(stored.readBigUInt64BE());
  }

  get diskBytes(): number {
    return statSync(this.#dataPath).size;
  }

  /** A snapshot of the last commit that can be seen, which the caller knows to be `version`. */
  open(version: number): OpenSnapshot {
    this.#root.resetReadTxn();
    const transaction = this.#root.useReadTransaction();
    const close = (): void => {
      transaction.done();
    };
    return { version, base: new LmdbBase(this.#rows, transaction), close };
  }

  /**
   * Makes the writes, in their order, in one LMDB transaction. Calls `onVisible` when a snapshot would show them and
   * that is known before they are synced, or when they will not be synced; resolves when they are. The next commit
   * comes when this one can be seen, or has failed.
   */
  commit(writes: readonly KeyValue[], version: number, onVisible: () => void): Promise<void> {
    const versionBytes = Buffer.allocUnsafe(8);
    versionBytes.writeBigUInt64BE(BigInt(version));
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        const isSeen = this.version === version;
        if (isSeen) onVisible();
        const what = isSeen ? 'the commit could not be synced' : 'the commit could not be written';
        reject((isSeen ? undefined : cutShort(error)) ?? failureOf(error, what));
      };
      this.#queued = {
        visible: onVisible,
        failed: (status) => {
          fail(statusError(status));
        },
      };
      this.#queue(writes, versionBytes).then(
        () => {
          resolve();
        },
        async (error: unknown) => {
          fail(await causeOf(error));
        },
      );
    });
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** Synchronous; no exception may leave in its midst, for what is queued by then would be committed. */
  #queue(writes: readonly KeyValue[], versionBytes: Buffer): Promise<unknown> {
    return this.#root.batch(() => {
      for (const { key, value } of writes) {
        // lmdb-js answers each with one and the same promise; the batch's own is the one that counts.
        if (value === undefined) void this.#rows.remove(key);
        else void this.#rows.put(key, asBuffer(value)); // it takes any Uint8Array; its types want the class that it returns
      }
      void this.#meta.put(versionKey, versionBytes);
    });
  }

  /** Hears of a commit as soon as it can be seen: lmdb-js' promise comes only with the sync. */
  #listen(): void {
    // The cast names what lmdb-js has and does not declare; where it is missing, commits are seen when they are synced.
    const { env } = this.#root as unknown as { env?: NativeEnvironment };
    const startWriting = env?.startWriting?.bind(env);
    if (env === undefined || startWriting === undefined) return;
    const hearing: StartWriting = (address, callback) => {
      const commit = this.#queued;
      startWriting(address, (status) => {
        if (status === syncedStatus || status === callbackStatus) return callback(status);
        // For a failure lmdb-js would do the same as for a visible commit, and print it.
        const answer = callback(visibleStatus);
        if (status === visibleStatus) commit?.visible();
        else {
          commit?.failed(status);
          callback(syncedStatus); // lmdb-js waits for a sync before it closes, and none comes after a failure
        }
        return answer;
      });
    };
    // The class has it as a read-only method; defining it on the one object goes past that.
    Object.defineProperty(env, 'startWriting', { value: hearing });
  }
}

const binary = { keyEncoding: 'binary', encoding: 'binary', cache: false } as const;

/** lmdb-js rejects with an error that promises the real one. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error && 'commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}

function statusError(status: number): Error {
  const name = status > 0 ? getSystemErrorName(-status) : `LMDB's error ${status}`;
  return Object.assign(new Error(name), { code: status });
}
