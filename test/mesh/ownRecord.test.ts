import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type Head } from '../../src/core/entry.ts';
import { GkvError, type ErrorCode } from '../../src/core/errors.ts';
import { grantZero, parseWriteId } from '../../src/core/write.ts';
import { OwnRecord } from '../../src/mesh/ownRecord.ts';
import { encodeRemoved } from '../../src/mesh/peers.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { OneKey, stampOf } from './oneKey.ts';

const own = { clusterId: new Uint8Array(16).fill(1), incarnation: 1 };
const record = JSON.stringify({ address: 'a:1', regionName: 'a', more: 1 });

/** One whose writes are ours, or denied. */
class OwnKey extends OneKey {
  candidatesLeft = 0;
  denied: ErrorCode | undefined;
  readonly ledger = { number: 1 };
  isEnded = false;
  readonly #own = new OwnRecord({ own, replica: this, ledger: this.ledger, isEnded: () => this.isEnded });

  override candidates(): Promise<readonly Head[]> {
    const version = stampOf(2, 5);
    const head: Head = {
      ...{ version, id: parseWriteId(new Uint8Array(32)), tombstone: true, expiresAt: 0, leaf: grantZero },
      ...{ length: 1, accepted: version, position: undefined, record: undefined },
    };
    return Promise.resolve(Array.from({ length: this.candidatesLeft }, () => head));
  }

  override write(ops: readonly WriteOp[]): Promise<readonly []> {
    if (this.denied === undefined) return super.write(ops);
    this.tries += 1;
    return Promise.reject(new GkvError(this.denied, 'for this test'));
  }

  async claims(): Promise<number> {
    const before = this.tries;
    await this.#own.claim();
    return this.tries - before;
  }
}

describe("M9: a member's own record", () => {
  it('is written as it is where another wrote it, and once', async () => {
    const store = new OwnKey();
    assert.equal(await store.claims(), 0, 'where there is none');
    store.set(record, stampOf(2, 1));
    assert.deepEqual([await store.claims(), await store.claims()], [1, 0]);
    assert.equal(String(Buffer.from(store.value)), record);
  });

  it('is left where it says that we join, or were removed, and where we take no part', async () => {
    const store = new OwnKey();
    store.set(JSON.stringify({ address: 'a:1', regionName: 'a', joining: true }), stampOf(2, 1));
    assert.equal(await store.claims(), 0);
    const removed = { clusterId: own.clusterId, incarnation: 1, removal: '00'.repeat(8), settled: false };
    store.set(String(Buffer.from(encodeRemoved(removed))), stampOf(2, 2));
    assert.equal(await store.claims(), 0);
    store.set(record, stampOf(2, 3));
    store.isEnded = true;
    assert.equal(await store.claims(), 0);
  });

  it('comes back where it went with its grant, though that was ours; not where somebody deleted it', async () => {
    const store = new OwnKey();
    store.set(record, stampOf(1, 1));
    assert.equal(await store.claims(), 0);
    store.set('', null);
    store.candidatesLeft = 1;
    assert.equal(await store.claims(), 0, 'a tombstone is there');
    store.candidatesLeft = 0;
    assert.equal(await store.claims(), 1);
    assert.equal(String(Buffer.from(store.value)), record);
  });

  it('that is written, or removed, by another while we look is left as that one has it', async () => {
    const store = new OwnKey();
    for (const before of [stampOf(2, 1), null]) {
      store.set(before === null ? '' : record, before);
      store.meanwhile = () => {
        store.set('by another', stampOf(2, 2));
      };
      await store.claims();
      assert.equal(String(Buffer.from(store.value)), 'by another');
    }
    store.set(record, stampOf(2, 3));
    store.meanwhile = () => (store.isEnded = true);
    assert.equal(await store.claims(), 0);
  });

  it('that we may not write is tried again when more is known of authority, and not before', async () => {
    const store = new OwnKey();
    store.set(record, stampOf(2, 1));
    store.denied = 'grant_unknown';
    assert.deepEqual([await store.claims(), await store.claims()], [1, 0]);
    store.ledger.number = 2;
    store.denied = undefined;
    assert.deepEqual([await store.claims(), await store.claims()], [1, 0]);
    store.set(record, stampOf(2, 9));
    store.denied = 'disk_full';
    await assert.rejects(store.claims(), { code: 'disk_full' });
  });
});
