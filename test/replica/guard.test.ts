import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId, parseWriteId, type Write } from '../../src/core/write.ts';
import { inlineSignatures, type Signatures } from '../../src/crypto/ed25519.ts';
import { type Ledger } from '../../src/grant/ledger.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { Guard } from '../../src/replica/guard.ts';
import { key, openInstance } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';

const mesh = new Mesh();
const held = mesh.grant('a');

async function ledgerOf(): Promise<Ledger> {
  const { ledger } = await openInstance({ granted: { meshId: mesh.id, records: [mesh.root, held].map(anyOf), signer: person('a') } });
  assert.ok(ledger !== undefined);
  return ledger;
}

/** Bytes outside of the heap that are still held, in MiB. */
function heldMb(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().arrayBuffers / 2 ** 20;
}

const write = (leaf: Uint8Array): Write => ({
  key: key('/k'),
  version: makeStamp(1_500, 0, parseInstance(Buffer.alloc(8, 1))),
  tombstone: false,
  expiresAt: 0,
  leaf: parseGrantId(leaf),
  value: Buffer.from('v'),
  signature: Buffer.alloc(2),
});

describe('what a granted store asks of writes', () => {
  it('I9: T15: of frames with writes under grants that nobody knows nothing is kept', async () => {
    const guard = new Guard(await ledgerOf(), inlineSignatures(), undefined);
    const before = heldMb();
    for (let i = 0; i < 100; i += 1) {
      const frame = Buffer.alloc(1_000_000);
      frame.writeUInt32BE(i + 1, 0);
      assert.equal(guard.refusalOf({ write: write(frame.subarray(0, 32)) }, 'grant unknown')?.code, 'grant_unknown');
      assert.equal(guard.stands(parseGrantId(frame.subarray(0, 32))), false);
    }
    assert.ok(heldMb() - before < 20, `${heldMb() - before} MiB`);
  });

  it('I9: R24: for a write that no grant allows none of ours is looked at twice', async () => {
    const ledger = await ledgerOf();
    const gifts = Array.from({ length: 50 }, () => mesh.given(held, 'a', 'b'));
    assert.deepEqual(await ledger.takeAll(gifts.map(anyOf)), []);
    const guard = new Guard(ledger, inlineSignatures(), person('b'));
    let looks = 0;
    const known = ledger.known as { revocationsOf: Ledger['known']['revocationsOf'] }; // to count
    const real = known.revocationsOf.bind(known);
    known.revocationsOf = (id) => {
      looks += 1;
      return real(id);
    };
    const late = { key: key('/k'), tombstone: false, version: makeStamp(2 ** 47, 0, parseInstance(Buffer.alloc(8, 1))) };
    const looksFor = (): [string, number] => {
      looks = 0;
      const answer = guard.leafFor(late);
      return [answer.kind === 'refused' ? answer.refusal.code : answer.kind, looks];
    };
    assert.deepEqual([looksFor(), looksFor()], [['grant_time', gifts.length + 1], ['grant_time', 0]]); // prettier-ignore
    await ledger.takeAll([anyOf(mesh.revocationByRoot(held))]);
    assert.equal(looksFor()[0], 'grant_revoked');
    assert.ok(looksFor()[1] <= 2);
  });

  it('I9: R24: a write is held against the 256 of our grants that are nearest to the root, and the oldest of these', async () => {
    const ledger = await ledgerOf();
    const gifts = Array.from({ length: 300 }, () => mesh.given(held, 'a', 'b', { patterns: patternsOf('/gift/**') }));
    const last = mesh.given(held, 'a', 'b');
    assert.deepEqual(await ledger.takeAll([...gifts, last].map(anyOf)), []);
    const guard = new Guard(ledger, inlineSignatures(), person('b'));
    const leafFor = (name: string): ReturnType<Guard['leafFor']>['kind'] =>
      guard.leafFor({ key: key(name), tombstone: false, version: makeStamp(1_500, 0, parseInstance(Buffer.alloc(8, 1))) }).kind;
    assert.deepEqual([leafFor('/gift/k'), leafFor('/k')], ['leaf', 'refused']);
    const other = mesh.grant('c');
    await ledger.takeAll([other, mesh.given(other, 'c', 'b', { patterns: patternsOf('/other/**') })].map(anyOf));
    assert.deepEqual([leafFor('/other/k'), leafFor('/k')], ['leaf', 'refused'], 'another delegate gives in turn');
    await ledger.takeAll([anyOf(mesh.grant('b'))]);
    assert.deepEqual([leafFor('/gift/k'), leafFor('/k')], ['leaf', 'leaf'], 'what the root gives comes before what a delegate does');
  });

  it('I9: R24: which of our grants give a right is looked at once for all writes, until another record comes', async () => {
    const ledger = await ledgerOf();
    const own = mesh.grant('b');
    const gifts = Array.from({ length: 50 }, () => mesh.given(held, 'a', 'b'));
    assert.deepEqual(await ledger.takeAll([own, ...gifts].map(anyOf)), []);
    let looks = 0;
    for (const { id } of gifts) {
      const { body } = ledger.known.grant(id)!;
      const { rights } = body;
      Object.defineProperty(body, 'rights', { get: () => ((looks += 1), rights) }); // to count
    }
    const guard = new Guard(ledger, inlineSignatures(), person('b'));
    const asked = { key: key('/k'), tombstone: false, version: makeStamp(1_500, 0, parseInstance(Buffer.alloc(8, 1))) };
    const looksFor = (): [Uint8Array | undefined, number] => {
      looks = 0;
      const answer = guard.leafFor(asked);
      return [answer.kind === 'leaf' ? Buffer.from(answer.leaf) : undefined, looks];
    };
    assert.deepEqual([looksFor(), looksFor()], [[Buffer.from(own.id), gifts.length], [Buffer.from(own.id), 0]]); // prettier-ignore
    await ledger.takeAll([anyOf(mesh.revocationByRoot(own))]);
    assert.deepEqual(looksFor()[0], Buffer.from(gifts[0]!.id));
    assert.ok(looksFor()[1] < 5);
  });

  it('T15: where one block of many is none, who was asked of the others may fail beside it, and is asked again afterwards', async () => {
    let isAway = true;
    const real = inlineSignatures();
    const signatures: Signatures = {
      isKey: (publicKey) => real.isKey(publicKey),
      verify: (...parts) => (isAway ? Promise.reject(new Error('away')) : real.verify(...parts)),
    };
    const guard = new Guard(await ledgerOf(), signatures, undefined);
    const ids = [1, 2].map((n) => parseWriteId(createHash('sha256').update(String(n)).digest()));
    const signed = signWrites(mesh.id, ids, person('a')).map((signature, i) => ({ write: { ...write(held.id), signature }, id: ids[i]! }));
    const none = { write: { ...write(held.id), signature: Buffer.of(0, 9, 1) }, id: ids[0]! };
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.prependListener('unhandledRejection', note);
    await assert.rejects(guard.prove([...signed, none]), { code: 'malformed' });
    await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(guard.prove(signed), { message: 'away' });
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    assert.deepEqual(unhandled, []);
    isAway = false;
    assert.deepEqual(await guard.prove(signed), ['held', 'held']);
  });
});
