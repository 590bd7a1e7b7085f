import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { equalBytes } from '../../src/core/bytes.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { grantLayout, type Grant } from '../../src/grant/grant.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { ledgerBounds, type LedgerBounds, type Source } from '../../src/grant/places.ts';
import { signedMessage, type Signature } from '../../src/grant/record.ts';
import { RecordIntake } from '../../src/mesh/records.ts';
import { encodeAny } from '../../src/grant/anyRecord.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { anyOf, Mesh, person, signatures } from './world.ts';

const bounds: LedgerBounds = { rowsMax: 25, grantsMax: 12, delegatedMax: 9, followingMax: 6, followingOursMax: 4 };
const mesh = new Mesh();
const delegate = mesh.grant('delegate');
const many = Array.from({ length: 12 }, (_, i) => mesh.given(delegate, 'delegate', `writer ${i}`));

function open(database = new MemoryDatabase(), seed = 1): Promise<Ledger> {
  const store = openMemoryStore(database, { clock: new FakeClock(), random: seededRandom(seed) });
  return Ledger.open(store, mesh.id, signatures, bounds);
}

type AnyOf = Parameters<typeof anyOf>[0];

/** 'taken', or the code. */
async function codesOf(ledger: Ledger, records: readonly AnyOf[], source: Source = 'peer'): Promise<string[]> {
  return (await ledger.take(records.map(anyOf), source)).map((refusal) => refusal?.code ?? 'taken');
}

const taken = (count: number): string[] => Array.from({ length: count }, () => 'taken');
const limited = (count: number): string[] => Array.from({ length: count }, () => 'grant_limit');

const order = 2n ** 252n + 27742317777372353535851937790883648493n;
const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const sha512 = (...parts: Uint8Array[]): Buffer => createHash('sha512').update(Buffer.concat(parts)).digest();

/** Another signature of a grant by one key that holds as well: Ed25519 (RFC 8032, 5.1.6) with a number of our choice. */
function signedAgain(of: Mesh, { id }: Grant, name: string, i: number): Signature {
  const key = person(name).publicKey;
  const secret = sha512(sha256(Buffer.from(name))).subarray(0, 32);
  secret[0] = (secret[0] ?? 0) & 248;
  secret[31] = ((secret[31] ?? 0) & 63) | 64;
  const nonce = BigInt(i + 1);
  const r = Point.BASE.multiply(nonce).toBytes();
  const message = signedMessage(grantLayout, of.id, id);
  const s = (nonce + (littleEndian(sha512(r, key, message)) % order) * littleEndian(secret)) % order;
  return { key, signature: Buffer.concat([r, Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]) };
}

describe('T19: places of the ledger', () => {
  it('I9: of what follows from one grant of the root so many are taken, fewer of those that are brought here first, over a start too', async () => {
    const database = new MemoryDatabase();
    const ledger = await open(database);
    assert.deepEqual(await codesOf(ledger, [mesh.root, delegate, ...many.slice(0, 6)], 'ours'), [...taken(6), ...limited(2)]);
    assert.deepEqual(await codesOf(ledger, many.slice(4, 8)), [...taken(2), ...limited(2)]);
    assert.equal(ledger.passedOver, 2);
    const again = await open(database, 2);
    assert.deepEqual(await codesOf(again, many.slice(0, 7)), [...taken(6), ...limited(1)], 'what is known is known');
    const other = mesh.grant('other');
    assert.deepEqual(await codesOf(again, [other, mesh.given(other, 'other', 'x')], 'ours'), taken(2), 'another has room');
  });

  it('K9: I9: whatever delegates give, each grant can be revoked, and the root can give more', async () => {
    const ledger = await open();
    const delegates = [delegate, mesh.grant('d1'), mesh.grant('d2')];
    const given: Grant[] = [
      ...many.slice(0, 6),
      ...['d1', 'd2'].flatMap((name, n) => [0, 1, 2].map((i) => mesh.given(delegates[n + 1] ?? delegate, name, `${name} ${i}`))),
    ];
    assert.deepEqual(await codesOf(ledger, [mesh.root, ...delegates, ...given]), [...taken(4 + 9), ...limited(3)]);
    assert.deepEqual(await codesOf(ledger, [mesh.grant('last')]), ['grant_limit'], 'of all 12 there are');
    const ours = ledger.known.grants();
    assert.equal(ours.length, 12);
    for (const grant of ours) assert.deepEqual(await codesOf(ledger, [mesh.revocationByRoot(grant)]), ['taken']);
    assert.equal(ledger.number, 25);
  });

  it('K9: T13: one revocation of a grant that counts is enough: further ones change nothing, and take no place', async () => {
    const ledger = await open();
    const [first] = many;
    assert.ok(first);
    await ledger.take([mesh.root, delegate, first].map(anyOf));
    assert.deepEqual(
      await codesOf(ledger, [mesh.revocation(first, 'delegate'), mesh.revocation(first, 'writer 0'), mesh.revocationByRoot(first)]),
      taken(3),
    );
    assert.deepEqual([ledger.number, ledger.lastEnding], [4, 4]);
  });

  it('I9: a key of the root that is one of too few adds no row, and takes no place, however often it signs what the root has given', async () => {
    const three = new Mesh(['r1', 'r2', 'r3'], 2);
    const store = openMemoryStore(new MemoryDatabase(), { clock: new FakeClock(), random: seededRandom(1) });
    const ledger = await Ledger.open(store, three.id, signatures, bounds);
    const grant = three.grant('a', {}, ['r1', 'r2']);
    await ledger.take([three.root, grant].map(anyOf));
    const alone = Array.from({ length: 30 }, (_, i) => ({
      ...grant,
      signatures: [signedAgain(three, grant, ['r2', 'r3'][i % 2] ?? '', i)],
    }));
    const lesser = alone.filter(({ signatures: [again] }) =>
      grant.signatures.some(
        ({ key, signature }) => again !== undefined && equalBytes(again.key, key) && Buffer.compare(again.signature, signature) < 0,
      ),
    );
    assert.ok(lesser.length > 0);
    assert.deepEqual(await codesOf(ledger, alone), taken(30), 'they hold, and change nothing');
    assert.deepEqual(await codesOf(ledger, [three.grant('b', {}, ['r1']), three.revocationByRoot(grant, 1, ['r1'])]), [
      'threshold',
      'threshold',
    ]);
    assert.deepEqual([ledger.number, ledger.passedOver, ledger.known.grant(grant.id)?.signatures], [2, 0, grant.signatures]);
    const more = Array.from({ length: 11 }, (_, i) => three.grant(`${i}`, {}, ['r2', 'r3']));
    assert.deepEqual(await codesOf(ledger, more), taken(11), 'all other places are free');
  });

  it('M32: what a peer had room for is passed over with what rests on it, and its other records are taken in', async () => {
    const ledger = await open();
    const intake = new RecordIntake(ledger);
    const [seventh] = many.slice(6);
    assert.ok(seventh);
    const follows = mesh.given(seventh, 'writer 6', 'further');
    const late = mesh.grant('late');
    const records = [mesh.root, delegate, ...many.slice(0, 7), follows, mesh.revocation(follows, 'further'), late].map((record) =>
      encodeAny(anyOf(record)),
    );
    await intake.take(new Uint8Array(16), 1, { number: records.length, records });
    assert.deepEqual([ledger.known.grants().length, ledger.passedOver], [8, 2]);
    assert.notEqual(ledger.known.grant(late.id), undefined);
    assert.equal(intake.cursorOf(new Uint8Array(16)).number, records.length);
  });

  it('I9: each grant leaves a place for its revocation', () => {
    const { rowsMax, grantsMax, delegatedMax, followingMax, followingOursMax } = ledgerBounds;
    assert.ok(grantsMax * 2 + 1_024 <= rowsMax, 'beside the root documents');
    assert.ok(followingOursMax < followingMax && followingMax < delegatedMax && delegatedMax < grantsMax);
  });
});
