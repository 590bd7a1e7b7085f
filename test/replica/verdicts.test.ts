import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { parseKey } from '../../src/core/key.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId, signatureEmpty, type GrantId, type Write, type WriteId } from '../../src/core/write.ts';
import { inlineSignatures, type Signatures, type SigningKey } from '../../src/crypto/ed25519.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { type Ledger } from '../../src/grant/ledger.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { grantLimits } from '../../src/grant/limits.ts';
import { encodeSignatureBlock, signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { Guard } from '../../src/replica/guard.ts';
import { openInstance } from '../aae/world.ts';
import { decodeSignatureBlock } from '../grant/plainBlocks.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';

const instance = parseInstance(Buffer.alloc(8, 1));
const mesh = new Mesh();
const meshKey = Buffer.alloc(32, 3);
const digests = new MeshDigests({ id: mesh.id, key: meshKey });
const held = mesh.grant('a');
const french = mesh.given(held, 'a', 'writer', { patterns: patternsOf('/cities/FR/**') });
const other = mesh.given(held, 'a', 'other');

function write(more: Partial<Write> = {}): Write {
  return {
    key: parseKey(Buffer.from('/cities/FR/1')),
    version: makeStamp(1_500, 0, instance),
    tombstone: false,
    expiresAt: 0,
    leaf: parseGrantId(french.id),
    value: Buffer.from('Paris'),
    signature: signatureEmpty,
    ...more,
  };
}

const idOf = (statement: Write, of = digests): WriteId => of.writeId(bodyOf(statement));

function signed(statement: Write, by: SigningKey = person('writer'), of = digests): Write {
  const [signature = signatureEmpty] = signWrites(of.meshId, [idOf(statement, of)], by);
  return { ...statement, signature };
}

/** What knows of the root's document, and of these grants. */
async function ledgerOf(...grants: readonly Grant[]): Promise<Ledger> {
  const { ledger } = await openInstance({ granted: { meshId: mesh.id, records: [mesh.root, ...grants].map(anyOf), signer: person('a') } });
  assert.ok(ledger !== undefined);
  return ledger;
}

const guardOf = (ledger: Ledger, signatures = inlineSignatures()): Guard => new Guard(ledger, signatures, undefined);
const knowing = async (): Promise<Guard> => guardOf(await ledgerOf(held, french, other));

async function verdictOf(guard: Guard, write: Write): Promise<string> {
  const [proof] = await guard.prove([{ write, id: idOf(write) }]);
  assert.ok(proof !== undefined);
  return guard.refusalOf({ write }, proof)?.code ?? 'allowed';
}

describe('writes and their grants', () => {
  it('K1: T15: a write that the holder of its leaf grant signed is allowed', async () => {
    assert.equal(await verdictOf(await knowing(), signed(write())), 'allowed');
    assert.equal(await verdictOf(await knowing(), signed(write({ tombstone: true, value: Buffer.alloc(0) }))), 'allowed');
  });

  for (const [what, change] of [
    ['key', { key: parseKey(Buffer.from('/cities/FR/2')) }],
    ['version', { version: makeStamp(1_500, 1, instance) }],
    ['value', { value: Buffer.from('Lyon') }],
    ['flags', { tombstone: true, value: Buffer.alloc(0) }],
    ['expiry', { expiresAt: 1_600 }],
    ['leaf, to one that another holds', { leaf: parseGrantId(other.id) }],
  ] as const) {
    it(`K1: T15: another ${what} under a valid signature is bad_signature`, async () => {
      assert.equal(await verdictOf(await knowing(), { ...signed(write()), ...change }), 'bad_signature');
    });
  }

  it('K3: T15: a signature of another key, mesh or kind, or none, is bad_signature', async () => {
    const guard = await knowing();
    const elsewhere = new MeshDigests({ id: Buffer.alloc(32, 9), key: meshKey });
    const grantSignature = encodeSignatureBlock({ path: [], signature: french.signatures[0]!.signature });
    for (const statement of [
      write(),
      signed(write(), person('a')),
      signed(write(), person('writer'), elsewhere),
      write({ signature: grantSignature }),
    ]) {
      assert.equal(await verdictOf(guard, statement), 'bad_signature');
    }
  });

  it('T15: the chain is judged before the signature, at the time of the version, and a delete takes its own right', async () => {
    const reading = mesh.given(held, 'a', 'writer', { rights: 3, depth: 0 });
    const ledger = await ledgerOf(held, french, reading);
    const guard = guardOf(ledger);
    const leafOf = (grant: { id: Uint8Array }): { leaf: GrantId } => ({ leaf: parseGrantId(grant.id) });
    for (const [statement, code] of [
      [write({ key: parseKey(Buffer.from('/cities/DE/1')) }), 'key_denied'],
      [write({ version: makeStamp(2_000, 0, instance) }), 'grant_time'],
      [write({ version: makeStamp(0, 0, instance) }), 'grant_time'],
      [write({ version: makeStamp(2 ** 48 - 1, 0xffff, instance) }), 'grant_time'],
      [write({ ...leafOf(reading), tombstone: true, value: Buffer.alloc(0) }), 'right_denied'],
      [write({ leaf: parseGrantId(Buffer.alloc(32, 5)) }), 'grant_unknown'],
    ] as const) {
      assert.equal(await verdictOf(guard, statement), code);
    }
    assert.deepEqual(await ledger.takeAll([anyOf(mesh.revocation(french, 'a'))]), []);
    assert.equal(await verdictOf(guard, signed(write())), 'grant_revoked');
  });

  it('T8: T15: one signature serves a batch; a wrong path, side or place in it does not', async () => {
    for (const count of [1, 2, 3, 5, 64, 255, 256]) {
      const all = Array.from({ length: count }, (_, i) => write({ key: parseKey(Buffer.from(`/cities/FR/${i}`)) }));
      const blocks = signWrites(
        mesh.id,
        all.map((statement) => idOf(statement)),
        person('writer'),
      );
      const guard = await knowing(); // that remembers nothing yet
      for (const [i, statement] of all.entries()) {
        assert.equal(await verdictOf(guard, { ...statement, signature: blocks[i]! }), 'allowed', `${i} of ${count}`);
        if (count === 1) continue;
        assert.equal(await verdictOf(guard, { ...statement, signature: blocks[(i + 1) % count]! }), 'bad_signature');
        const block = decodeSignatureBlock(blocks[i]!)!;
        const turned = block.path.map(({ side, digest }) => ({ side: side === 'left' ? 'right' : 'left', digest }) as const);
        const wrong = [turned, block.path.slice(1), [...block.path, block.path[0]!].slice(0, grantLimits.pathMax)];
        for (const path of wrong) {
          if (path.length === block.path.length && path !== turned) continue;
          const signature = encodeSignatureBlock({ path, signature: block.signature });
          assert.equal(await verdictOf(guard, { ...statement, signature }), 'bad_signature');
        }
      }
    }
  });

  it('T8: a batch of none or of 257 is not signed', () => {
    const id = idOf(write());
    for (const ids of [[], Array.from({ length: 257 }, () => id)]) {
      assert.throws(
        () => signWrites(mesh.id, ids, person('writer')),
        (error) => hasCode(error, 'internal'),
      );
    }
  });

  it('T15: the signature of a batch is verified once', async () => {
    let count = 0;
    const real = inlineSignatures();
    const counting: Signatures = {
      isKey: (key) => real.isKey(key),
      verify: (...parts) => {
        count += 1;
        return real.verify(...parts);
      },
    };
    const guard = guardOf(await ledgerOf(held, french), counting);
    const all = Array.from({ length: 64 }, (_, i) => write({ key: parseKey(Buffer.from(`/cities/FR/${i}`)) }));
    const blocks = signWrites(
      mesh.id,
      all.map((statement) => idOf(statement)),
      person('writer'),
    );
    for (const [i, statement] of all.entries()) {
      assert.equal(await verdictOf(guard, { ...statement, signature: blocks[i]! }), 'allowed');
    }
    assert.equal(count, 1);
  });

  it('T15: a block that is none is malformed', async () => {
    const guard = await knowing();
    const { signature } = signed(write());
    for (const wrong of [Buffer.alloc(0), Buffer.alloc(3), signature.subarray(0, -1), Buffer.concat([signature, Buffer.of(0)])]) {
      await assert.rejects(
        () => verdictOf(guard, write({ signature: wrong })),
        (error) => hasCode(error, 'malformed'),
      );
    }
  });
});
