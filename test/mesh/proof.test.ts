import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeRequest, encodeRequest } from '../../src/aae/frame.ts';
import { hasCode, type ErrorCode, type GkvError } from '../../src/core/errors.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { decodeSessionAsk, encodeSessionAsk, type SessionAsk } from '../../src/mesh/handshake.ts';
import { Prover } from '../../src/mesh/prover.ts';
import { Mesh, person } from '../grant/world.ts';
import { Bold, bytesOf, everything, forEver, grants, mesh, pair, Wire, type Any, type SideOptions } from './proofs.ts';

const is =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): error is GkvError =>
    hasCode(error, ...codes);
const replicate = { ...forEver, rights: rightsOf(['replicate']), depth: 0 };
const bold =
  (leaf: Grant, ...records: readonly Any[]): NonNullable<SideOptions['prover']> =>
  (deps) =>
    new Bold(deps, leaf.id, bytesOf(...records));

describe('M33: proofs between peers', () => {
  it('both prove themselves once, and what is asked goes through then', async () => {
    const { b, wire } = await pair();
    assert.equal(await wire.ask('first'), 'tsrif');
    assert.equal(await wire.ask('second'), 'dnoces');
    assert.equal(await wire.ask('other', 'exchange'), 'rehto');
    assert.deepEqual(wire.asked, ['session', 'session', 'feed', 'feed', 'session', 'session', 'exchange']);
    assert.deepEqual(b.let, ['first', 'second', 'other']);
  });

  it('who is added proves itself first, and what follows goes under the same session', async () => {
    const { b, wire } = await pair();
    assert.deepEqual(await wire.prove(), b.deps.own.clusterId);
    await wire.ask('x');
    assert.deepEqual(wire.asked, ['session', 'session', 'feed']);
    const stranger = await pair(undefined, [mesh.root]);
    await assert.rejects(stranger.wire.prove(), is('grant_unknown'));
  });

  it('I9: M33: what a region shows is put together once for as long as its ledger has the same number', async () => {
    const { a } = await pair();
    const shown = async (): Promise<unknown> => (await a.prover.credentials()).records;
    const before = await shown();
    assert.equal(await shown(), before);
    await a.learn(mesh.grant('a', everything));
    const after = await shown();
    assert.notDeepEqual(after, before);
    assert.equal(await shown(), after);
  });

  it('those that ask while a session begins wait for the same', async () => {
    const { wire } = await pair();
    await Promise.all(['1', '2', '3'].map((text) => wire.ask(text)));
    assert.deepEqual(wire.asked, ['session', 'session', 'feed', 'feed', 'feed']);
  });

  it('each brings its chain where the other lacks it, links between and root documents too', async () => {
    const delegate = mesh.grant('delegate', everything);
    const rotated = mesh.rotated(['root'], ['root'], { version: 2, carried: [delegate.id] });
    const later = mesh.grant('b', { ...replicate, rootVersion: 2 });
    const chain = [delegate, mesh.given(delegate, 'delegate', 'a', replicate)];
    const { a, b, wire } = await pair([mesh.root, ...chain], [mesh.root, rotated, later]);
    assert.equal(await wire.ask('x'), 'x');
    for (const { ledger } of [a, b]) assert.equal(ledger.known.grants().length, 3);
  });

  for (const [what, code, leaf, records] of [
    ['may not replicate', 'right_denied', mesh.grant('c', forEver), 'known'],
    ['may no more', 'grant_time', mesh.grant('c', { ...replicate, expiresMs: 1_000_000 }), 'known'],
    ['may not yet', 'grant_time', mesh.grant('c', { ...replicate, notBeforeMs: 2 ** 47 }), 'known'],
    ['names a grant of another', 'bad_signature', grants.a, 'known'],
    ['names a grant that nobody knows', 'grant_unknown', mesh.grant('c', replicate), 'none'],
    ['has a grant that is forged', 'grant_signature', forged(mesh.grant('c', replicate)), 'shown'],
  ] as const) {
    const known: readonly Any[] = records === 'known' ? [leaf] : [];
    const shown: readonly Any[] = records === 'shown' ? [leaf] : [];
    it(`who ${what} gets nothing, and gives nothing: ${code}`, async () => {
      const at = [mesh.root, grants.a, grants.b, ...known];
      const hostile = { key: person('c'), prover: bold(leaf, ...shown) };
      const asking = await pair([mesh.root], at, { a: hostile });
      await assert.rejects(asking.wire.ask('x'), is(code));
      assert.deepEqual([asking.wire.asked, asking.b.let], [['session', 'session'], []]);
      const answering = await pair(at, [mesh.root], { b: hostile });
      await assert.rejects(answering.wire.ask('x'), is(code));
      assert.deepEqual([answering.wire.asked, answering.b.let], [['session', 'session'], []]);
    });
  }

  it('who shows a grant wider than its parent, or one that the root did not sign, gets nothing', async () => {
    const parent = mesh.grant('x', forEver);
    const wider = mesh.given(parent, 'x', 'c', replicate);
    const unsigned = mesh.grant('c', replicate, ['c']);
    for (const [code, leaf, records] of [
      ['grant_wider', wider, [parent, wider]],
      ['threshold', unsigned, [unsigned]],
    ] as const) {
      const { b, wire } = await pair([mesh.root], undefined, { a: { key: person('c'), prover: bold(leaf, ...records) } });
      await assert.rejects(wire.ask('x'), is(code));
      assert.deepEqual(b.let, []);
    }
  });

  it('a cluster that may not replicate itself asks nobody, and says what it lacks', async () => {
    const { wire } = await pair([mesh.root, mesh.grant('a', forEver)]);
    await assert.rejects(
      wire.ask('x'),
      (error) => is('right_denied')(error) && /own word.*may not replicate: gives read, write/.test(error.message),
    );
    assert.deepEqual(wire.asked, []);
  });

  it('whose own grant has ended, or was revoked, is told where the records of a new one belong, and goes on with those', async () => {
    const short = mesh.grant('a', { ...replicate, expiresMs: 1_700_000_100_000 });
    const other = mesh.grant('a', { ...replicate, notBeforeMs: 2 });
    const { a, b, wire } = await pair([mesh.root, short, grants.b], [mesh.root, short, grants.b]);
    const toldOf = (code: ErrorCode) => (error: unknown) =>
      is(code)(error) && /; .*records of a new one.* own mesh directory/.test(error.message);
    await wire.ask('begins a session');
    a.clock.ms += 100_000;
    await assert.rejects(wire.ask('of that session'), toldOf('grant_time'));
    await assert.rejects(new Wire(a, b).ask('of a new one'), toldOf('grant_time'));
    await a.learn(other);
    await wire.ask('again');
    await a.learn(mesh.revocationByRoot(other));
    await assert.rejects(wire.ask('revoked'), toldOf('grant_revoked'));
  });

  it('who does not have the key that it shows proves nothing', async () => {
    class Thief extends Prover {
      override sign(message: Uint8Array): Uint8Array {
        return person('thief').sign(message);
      }
    }
    const thief = { prover: (deps: ConstructorParameters<typeof Prover>[0]) => new Thief(deps) };
    for (const options of [{ a: thief }, { b: thief }]) {
      const { b, wire } = await pair(undefined, undefined, options);
      await assert.rejects(wire.ask('x'), is('bad_signature'));
      assert.deepEqual(b.let, []);
    }
  });

  it('another mesh, another mesh key', async () => {
    const other = new Mesh(['other']);
    for (const digests of [
      new MeshDigests({ id: other.id, key: new Uint8Array(32).fill(2), kind: 'granted' }),
      new MeshDigests({ id: mesh.id, key: new Uint8Array(32).fill(3), kind: 'granted' }),
    ]) {
      const of = digests.meshId === other.id ? [other.root, other.grant('a', everything, ['other'])] : undefined;
      const { wire } = await pair(of, undefined, { a: { digests } });
      await assert.rejects(wire.ask('x'), is('mesh_mismatch'));
      assert.deepEqual(wire.asked, ['session']);
    }
  });

  it('K10: a revocation ends sessions at the next request, on whichever side it is known, and another grant begins others', async () => {
    for (const who of ['a', 'b'] as const) {
      for (const whose of ['a', 'b'] as const) {
        const made = await pair();
        await made.wire.ask('before');
        await made[who].learn(mesh.revocationByRoot(grants[whose]));
        await assert.rejects(made.wire.ask('after'), (error) => is('grant_revoked')(error) && error.details['grant'] !== null);
        await assert.rejects(made.wire.ask('after'), is('grant_revoked', 'grant_unknown'));
        assert.deepEqual(made.b.let, ['before']);
        const another = mesh.grant(whose, { ...everything, notBeforeMs: 1 });
        await made[whose].learn(another); // and the other is shown it
        assert.equal(await made.wire.ask('abc'), 'cba');
      }
    }
  });

  it('T20: a delegate that gives a region a later grant, and ends it at one place, cuts off nobody', async () => {
    const rogue = mesh.grant('d', everything);
    const gift = mesh.given(rogue, 'd', 'a', { ...replicate, notBeforeMs: 1 });
    const all = [mesh.root, grants.a, grants.b, rogue, gift];
    const { a, b, wire } = await pair(all, [...all, mesh.revocation(gift, 'd')]);
    assert.equal(await wire.ask('ab'), 'ba');
    assert.equal(await new Wire(b, a).ask('ab'), 'ba');
  });

  it('T20: M33: who shows a grant that has ended at the other side shows the next, and is taken by one that is known there', async () => {
    const delegate = mesh.grant('d', everything);
    const [first, other] = [mesh.given(delegate, 'd', 'a', replicate), mesh.given(delegate, 'd', 'a', { ...replicate, notBeforeMs: 1 })];
    const rest = [mesh.root, grants.b, delegate];
    // The other side does not know the second one: it is shown.
    const shown = await pair([...rest, grants.a, first], [...rest, grants.a, mesh.revocationByRoot(grants.a)]);
    assert.equal(await shown.wire.ask('ab'), 'ba');
    assert.deepEqual(shown.wire.asked, ['session', 'session', 'session', 'feed']);
    assert.equal(await new Wire(shown.b, shown.a).ask('ab'), 'ba'); // by what it knows now
    // It knows that one: nothing else need be shown.
    const known = await pair([...rest, first, other], [...rest, first, other, mesh.revocation(other, 'd')]);
    assert.equal(await known.wire.ask('ab'), 'ba');
    assert.deepEqual(known.wire.asked, ['session', 'session', 'feed']);
    await known.b.learn(mesh.revocation(first, 'd'));
    await assert.rejects(known.wire.ask('x'), is('grant_revoked'));
    await assert.rejects(known.wire.ask('x'), is('grant_revoked'));
    assert.equal(known.wire.asked.length, 3 + 1 + 3); // one opening for each grant
  });

  it('T20: M33: who was given many grants by a delegate that ended them at the other side shows, after one, what another gave', async () => {
    const [rogue, honest] = [mesh.grant('d', everything), mesh.grant('h', everything)];
    const gifts = Array.from({ length: 20 }, (_, i) => mesh.given(rogue, 'd', 'a', { ...replicate, notBeforeMs: 2 + i }));
    const good = mesh.given(honest, 'h', 'a', { ...replicate, notBeforeMs: 1 });
    const writes = mesh.given(honest, 'h', 'a', { ...forEver, notBeforeMs: 1, rights: rightsOf(['write']), depth: 0 });
    const rest = [mesh.root, grants.b, rogue];
    const { b, wire } = await pair(
      [...rest, honest, good, writes, ...gifts],
      [...rest, ...gifts, ...gifts.map((gift) => mesh.revocation(gift, 'd'))],
    );
    assert.equal(await wire.ask('ab'), 'ba');
    assert.deepEqual(wire.asked, ['session', 'session', 'session', 'feed']);
    assert.ok(b.ledger.known.grant(writes.id) !== undefined, 'and what else it gave is shown beside it');
  });

  it('I9: of what is shown by who may not replicate no more stays than shows just that', async () => {
    const reads = { ...forEver, rights: rightsOf(['read', 'delegate']) };
    const delegate = mesh.grant('d', reads);
    const many = Array.from({ length: 20 }, (_, i) =>
      mesh.given(delegate, 'd', `n${i}`, { ...reads, rights: rightsOf(['read']), depth: 0 }),
    );
    const [leaf] = many;
    assert.ok(leaf !== undefined);
    const wider = mesh.given(leaf, 'n0', 'c', replicate);
    const late = mesh.given(delegate, 'd', 'c', { ...replicate, notBeforeMs: 2 ** 47 });
    for (const [key, named, code] of [
      ['c', new Uint8Array(32).fill(9), 'grant_unknown'],
      ['n0', leaf.id, 'right_denied'],
      ['c', wider.id, 'grant_wider'],
      ['c', late.id, 'grant_time'],
    ] as const) {
      const prover: SideOptions['prover'] = (deps) => new Bold(deps, named, bytesOf(...many, wider, late));
      const { b, wire } = await pair([mesh.root], [mesh.root, grants.b, delegate], { a: { key: person(key), prover } });
      await assert.rejects(wire.ask('x'), is(code));
      assert.equal(b.ledger.known.grants().length, 2, code);
    }
    const prover: SideOptions['prover'] = (deps) => new Bold(deps, grants.a.id, bytesOf(grants.a, ...many));
    const { b, wire } = await pair([mesh.root], [mesh.root, grants.b, delegate], { a: { prover } });
    await wire.ask('x');
    assert.equal(b.ledger.known.grants().length, 23);
  });

  it('T20: what a delegate gives in plenty does not push out what a region shows beside it', async () => {
    const rogue = mesh.grant('d', everything);
    const gifts = Array.from({ length: 20 }, (_, i) => mesh.given(rogue, 'd', 'a', { ...replicate, notBeforeMs: 2 + i }));
    const own = mesh.grant('a', { ...forEver, rights: rightsOf(['write']), depth: 0 });
    const { b, wire } = await pair([mesh.root, grants.a, own, rogue, ...gifts], [mesh.root, grants.b]);
    await wire.ask('x');
    assert.ok(b.ledger.known.grant(own.id) !== undefined);
  });

  it('a grant that ends ends sessions', async () => {
    const short = mesh.grant('a', { ...replicate, expiresMs: 1_700_000_100_000 });
    const { a, b, wire } = await pair([mesh.root, short, grants.b], [mesh.root, short, grants.b]);
    await wire.ask('before');
    b.clock.ms += 100_000;
    await assert.rejects(wire.ask('after'), is('grant_time'));
    a.clock.ms += 100_000;
    await assert.rejects(wire.ask('after'), is('grant_time'));
    assert.deepEqual(b.let, ['before']);
  });

  it('K10: what was asked before a revocation and is answered after it is not sent, and would not be taken', async () => {
    for (const who of ['a', 'b'] as const) {
      const made = await pair();
      await made.wire.ask('before');
      let release = (): void => undefined;
      made.b.gate = new Promise((resolve) => (release = resolve));
      const waiting = made.wire.ask('waits');
      while (made.b.let.length < 2) await new Promise((resolve) => setImmediate(resolve));
      await made[who].learn(mesh.revocationByRoot(grants.a));
      release();
      await assert.rejects(waiting, is('grant_revoked'));
    }
  });

  describe('openings that are no such', () => {
    /** What A sends to open a session, changed. */
    async function opening(
      change: (ask: SessionAsk & { kind: 'open' }) => SessionAsk | Uint8Array,
    ): Promise<{ code: string; let: string[] }> {
      const { a, b, wire } = await pair();
      const { digests } = a.deps;
      wire.change.request = (frame, service) => {
        if (service !== 'session') return frame;
        const { header, body } = decodeRequest(frame, digests, 'session');
        const ask = decodeSessionAsk(body, header.clusterId);
        if (ask.kind === 'who') return frame;
        const changed = change(ask);
        return encodeRequest(header, changed instanceof Uint8Array ? changed : encodeSessionAsk(changed), digests, 'session');
      };
      const code = await wire.ask('x').then(
        () => 'ok',
        (error: unknown) => (error as GkvError).code,
      );
      return { code, let: b.let };
    }

    it('as they are they hold', async () => {
      assert.deepEqual(await opening((ask) => ask), { code: 'ok', let: ['x'] });
    });

    it('every truncation, and one byte more', async () => {
      let length = 0;
      await opening((ask) => {
        length = encodeSessionAsk({ ...ask, records: [] }).length;
        return ask;
      });
      for (let cut = 1; cut <= length; cut += 7) {
        const { code } = await opening((ask) => encodeSessionAsk({ ...ask, records: [] }).subarray(0, length - cut));
        assert.ok(['malformed', 'peer_protocol'].includes(code), `${cut} bytes less: ${code}`);
      }
      assert.equal((await opening((ask) => Buffer.concat([encodeSessionAsk(ask), Buffer.of(0)]))).code, 'malformed');
      assert.equal((await opening(() => Buffer.of(2))).code, 'malformed');
      assert.equal((await opening(() => new Uint8Array(0))).code, 'malformed');
    });

    it('I9: more records, or more signatures to check, than there may be', async () => {
      const many = Array.from({ length: 25 }, () => bytesOf(grants.a)).flat();
      assert.equal((await opening((ask) => ({ ...ask, records: many }))).code, 'peer_protocol');
      const names = Array.from({ length: 16 }, (_, i) => `key ${i}`);
      const roots = [2, 3, 4, 5].map((version) => mesh.rotated(names, ['root', ...names], { version }));
      const { b } = await pair([mesh.root], [mesh.root]);
      const peer = { clusterId: new Uint8Array(16), incarnation: 1, key: person('c').publicKey, leaf: mesh.grant('c', replicate).id };
      await assert.rejects(b.prover.admit(peer, bytesOf(...roots)), is('too_large'));
      await assert.rejects(b.prover.admit(peer, [Buffer.of(9)]), is('peer_protocol'));
      assert.equal(b.ledger.number, 1);
    });

    it('other fields than those that were signed', async () => {
      const other = new Uint8Array(32).fill(7);
      const of = (part: 'agreement' | 'key' | 'leaf') => (ask: SessionAsk & { kind: 'open' }) => ({
        ...ask,
        part: { ...ask.part, asker: { ...ask.part.asker, [part]: other } },
      });
      assert.equal((await opening(of('agreement'))).code, 'bad_signature');
      assert.equal((await opening(of('leaf'))).code, 'bad_signature');
      assert.equal((await opening(of('key'))).code, 'bad_public_key');
      const older = await opening((ask) => ({ ...ask, part: { ...ask.part, asker: { ...ask.part.asker, incarnation: 0 } } }));
      assert.equal(older.code, 'bad_signature');
      const boot = await opening((ask) => ({
        ...ask,
        part: { ...ask.part, answerer: { ...ask.part.answerer, boot: new Uint8Array(16) } },
      }));
      assert.equal(boot.code, 'session_unknown');
    });
  });

  it('an opening is of who sent it: under another cluster id it does not hold', async () => {
    const { a, wire } = await pair();
    const { digests } = a.deps;
    wire.change.request = (frame, service) => {
      const { header, body } = decodeRequest(frame, digests, service);
      const as = body[0] === 1 ? new Uint8Array(16).fill(3) : header.clusterId;
      return encodeRequest({ ...header, clusterId: as }, body, digests, service);
    };
    await assert.rejects(wire.ask('x'), is('bad_signature'));
  });
});

function forged(grant: Grant): Grant {
  return { ...grant, signatures: [{ key: person('root').publicKey, signature: new Uint8Array(64).fill(1) }] };
}
