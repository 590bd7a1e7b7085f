import { compareBytes, emptyBytes, toHex } from '../../src/core/bytes.ts';
import { GkvError } from '../../src/core/errors.ts';
import { inRange, successorKey, type Key } from '../../src/core/key.ts';
import { makeStamp, parseInstance, stampToHex, type Stamp } from '../../src/core/stamp.ts';
import { type DataStore } from '../../src/http/ports.ts';
import { type WriteOp, type WriteOutcome } from '../../src/replica/proposal.ts';
import { type ListQuery, type ListResult, type ReadResult } from '../../src/replica/read.ts';

interface Held {
  readonly key: Key;
  readonly value: Uint8Array;
  readonly version: Stamp;
}

/** A DataStore in a Map: versions rise by one; nothing expires. */
export class StubStore implements DataStore {
  readonly held = new Map<string, Held>();
  /** Set to make every call fail. */
  failure: Error | undefined;
  /** Awaited before every write, for requests that are under way. */
  gate: Promise<void> = Promise.resolve();
  writes = 0;
  readonly takesSigned = false;
  readonly #instance = parseInstance(new Uint8Array(8));

  waitFor(accepted: Stamp): Promise<boolean> {
    return Promise.resolve([...this.held.values()].some(({ version }) => compareBytes(version, accepted) >= 0));
  }

  get(key: Key): Promise<ReadResult> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const found = this.held.get(toHex(key));
    return Promise.resolve(
      found === undefined
        ? { value: emptyBytes, exists: false, version: null }
        : { value: found.value, exists: true, version: found.version },
    );
  }

  list({ range, limit, order, values, filter }: ListQuery): Promise<ListResult> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const kept = [...this.held.values()].filter(({ key }) => inRange(key, range) && filter?.look(key).isKept !== false);
    const sorted = kept.sort((a, b) => compareBytes(a.key, b.key));
    if (order === 'reverse') sorted.reverse();
    const entries = sorted.slice(0, limit).map((held) => (values === 'with' ? held : { ...held, value: emptyBytes }));
    const following = sorted[limit]?.key;
    const next = following === undefined ? null : order === 'forward' ? following : successorKey(following);
    return Promise.resolve({ entries, next });
  }

  async write(ops: readonly WriteOp[]): Promise<readonly WriteOutcome[]> {
    this.writes += 1;
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    for (const [index, op] of ops.entries()) this.#check(op, index);
    return ops.map((op) => this.#apply(op));
  }

  writeSigned(): Promise<never> {
    return Promise.reject(new GkvError('mesh_mismatch', 'this mesh is open'));
  }

  #check({ key, expected }: WriteOp, index: number): void {
    const current = this.held.get(toHex(key))?.version;
    const version = current === undefined ? null : stampToHex(current);
    const wanted = expected.kind === 'version' ? stampToHex(expected.version) : null;
    if (expected.kind === 'any' || wanted === version) return;
    throw new GkvError('version_mismatch', 'another version is there', { details: { version, index } });
  }

  #apply(op: WriteOp): WriteOutcome {
    this.#count += 1;
    const version = makeStamp(this.#count, 0, this.#instance);
    if (op.kind === 'delete') this.held.delete(toHex(op.key));
    else this.held.set(toHex(op.key), { key: op.key, value: op.value, version });
    return { version, accepted: version, applied: true };
  }

  #count = 0;
}
