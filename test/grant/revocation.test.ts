import assert from 'node:assert/strict';
import fc from 'fast-check';
import { take } from '../../src/grant/anyRecord.ts';
import { authorise } from '../../src/grant/authorise.ts';
import { Authority } from '../../src/grant/authority.ts';
import { isFinal, type Refusal } from '../../src/grant/known.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { anyOf, ask, knowing, Mesh, patternsOf, signatures, verdict } from './world.ts';

/** root → a → b → c, and a → sibling. */
function family(mesh: Mesh): Record<'a' | 'b' | 'c' | 'sibling', Grant> {
  const a = mesh.grant('a');
  const b = mesh.given(a, 'a', 'b');
  return { a, b, c: mesh.given(b, 'b', 'c'), sibling: mesh.given(a, 'a', 'sibling') };
}

describe('revocations', () => {
  for (const [by, ends] of [
    ['the root', true],
    ['a', true],
    ['b', true],
    ['c', false],
    ['sibling', false],
    ['stranger', false],
  ] as const) {
    it(`K8: T13: of root → a → b → c, the link to b ${ends ? 'is' : 'is not'} ended by ${by}`, async () => {
      const mesh = new Mesh();
      const { a, b, c, sibling } = family(mesh);
      const revocation = by === 'the root' ? mesh.revocationByRoot(b) : mesh.revocation(b, by);
      const { authority, codeOf } = await knowing(mesh, a, b, c, sibling, revocation);
      assert.equal(codeOf(revocation), ends ? undefined : 'issuer_mismatch');
      assert.deepEqual(
        [a, b, c, sibling].map((grant) => verdict(authority, grant)),
        ['allowed', ...(ends ? ['grant_revoked 1', 'grant_revoked 1'] : ['allowed', 'allowed']), 'allowed'],
      );
    });
  }

  it('K11: T13: the answer names the revocation, the link and who revoked it', async () => {
    const mesh = new Mesh();
    const { a, b, c } = family(mesh);
    const revocation = mesh.revocation(b, 'a');
    const { authority } = await knowing(mesh, a, b, c, revocation);
    const answer = authorise(authority, c.id, ask());
    assert.ok(answer.kind === 'refused');
    assert.deepEqual([answer.refusal.link, answer.refusal.grantId, answer.refusal.endedBy], [1, b.id, revocation.id]);
    assert.ok(isFinal(answer.refusal));
  });

  it('K8: T13: who was revoked may still revoke what they gave', async () => {
    const mesh = new Mesh();
    const { a, b, c } = family(mesh);
    const { authority, codes } = await knowing(mesh, a, b, c, mesh.revocation(b, 'a'), mesh.revocation(c, 'b'));
    assert.deepEqual(codes, []);
    assert.equal(authority.revocationsOf(c.id).length, 1);
  });

  it('K9: T13: a revocation before its grant waits for it, and then ends it; the grant put again changes nothing', async () => {
    const mesh = new Mesh();
    const { a, b } = family(mesh);
    const revocation = mesh.revocation(b, 'a');
    const { authority, codeOf } = await knowing(mesh, revocation);
    assert.equal(codeOf(revocation), 'grant_unknown');
    for (const record of [a, b, revocation, b]) assert.equal(await take(authority, anyOf(record)), undefined);
    assert.equal(verdict(authority, b), 'grant_revoked 1');
  });

  it('T13: a revocation by the root takes its threshold, and a version not before the one that gave the grant', async () => {
    const mesh = new Mesh(['r', 's'], 2);
    const a = mesh.grant('a', {}, ['r', 's']);
    const rotated = mesh.rotated(['t'], ['r', 's', 't'], { carried: [a.id] });
    const later = mesh.grant('later', { rootVersion: 2 }, ['t']);
    const short = mesh.revocationByRoot(a, 1, ['r']);
    const early = mesh.revocationByRoot(later, 1, ['r', 's']);
    const unknown = mesh.revocationByRoot(a, 3, ['r', 's']);
    const { authority, codeOf } = await knowing(mesh, a, later, rotated, short, early, unknown);
    assert.deepEqual([codeOf(short), codeOf(early), codeOf(unknown)], ['threshold', 'issuer_mismatch', 'root_unknown']);
    assert.deepEqual([verdict(authority, a), verdict(authority, later)], ['allowed', 'allowed']);
    for (const [version, signers] of [
      [1, ['r', 's']],
      [2, ['t']],
    ] as const) {
      const ended = await knowing(mesh, a, rotated, mesh.revocationByRoot(a, version, signers));
      assert.equal(verdict(ended.authority, a), 'grant_revoked 0');
    }
  });

  it('T10: a root document needs the keys of the one before and its own; none may be skipped', async () => {
    const mesh = new Mesh(['r', 's'], 2);
    const second = mesh.rotated(['t', 'u'], ['r', 's', 't', 'u'], { threshold: 2 });
    const third = mesh.rotated(['v'], ['t', 'u', 'v'], { version: 3, previous: second.id });
    const codeOf = async (...signers: string[]): Promise<string | undefined> => {
      const document = mesh.rotated(['t', 'u'], signers, { threshold: 2 });
      return (await knowing(mesh, document)).codeOf(document);
    };
    assert.deepEqual([await codeOf('r', 's', 't'), await codeOf('r', 't', 'u'), await codeOf('t', 'u')], Array(3).fill('threshold'));
    assert.deepEqual((await knowing(mesh, third, second)).codes, []);
    assert.equal((await knowing(mesh, third)).codeOf(third), 'root_unknown');
    const skipping = mesh.rotated(['v'], ['r', 's', 'v'], { version: 3 });
    assert.equal((await knowing(mesh, skipping)).codeOf(skipping), 'root_unknown');
    const other = new Mesh(['r', 's'], 2).root;
    const strange = { ...other, id: Buffer.alloc(32, 7) };
    const { authority } = await knowing(mesh);
    assert.equal((await authority.takeRoot(strange))?.code, 'grant_signature');
  });

  it('T10: keys that a rotation dropped give nothing any more, whatever time they write on it; what is carried over stands', async () => {
    const mesh = new Mesh();
    const [kept, dropped] = [mesh.grant('kept'), mesh.grant('dropped')];
    const rotated = mesh.rotated(['new'], ['root', 'new'], { carried: [kept.id] });
    const backdated = mesh.grant('thief', { notBeforeMs: 0 });
    const claimed = mesh.grant('thief', { rootVersion: 2 });
    const { authority, codeOf } = await knowing(mesh, kept, dropped, rotated, backdated, claimed);
    assert.deepEqual(
      [kept, dropped, backdated].map((grant) => verdict(authority, grant)),
      ['allowed', 'grant_revoked 0', 'grant_revoked 0'],
    );
    assert.equal(codeOf(claimed), 'threshold');
    const answer = authorise(authority, dropped.id, ask());
    assert.ok(answer.kind === 'refused');
    assert.deepEqual(answer.refusal.endedBy, rotated.id);
  });

  it('T10: in a forked root nothing stands that not every side carries over, nothing that one side gave, and nothing comes back', async () => {
    const mesh = new Mesh();
    const [both, one] = [mesh.grant('both'), mesh.grant('one')];
    const left = mesh.rotated(['l'], ['root', 'l'], {
      carried: [both.id, one.id].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    });
    const right = mesh.rotated(['r'], ['root', 'r'], { carried: [both.id] });
    const byLeft = mesh.grant('left', { rootVersion: 2 }, ['l']);
    const whole = await knowing(mesh, both, one, left, byLeft);
    assert.deepEqual(
      [both, one, byLeft].map((grant) => verdict(whole.authority, grant)),
      ['allowed', 'allowed', 'allowed'],
    );
    await whole.authority.takeRoot(right);
    const healed = mesh.rotated(['l'], ['l'], { version: 3, previous: left.id, carried: [both.id] });
    await whole.authority.takeRoot(healed);
    assert.deepEqual(
      [both, one, byLeft].map((grant) => verdict(whole.authority, grant)),
      ['allowed', 'grant_revoked 0', 'grant_revoked 0'],
    );
  });

  it('T14: what is known in the end does not depend on the order in which it came', async () => {
    const mesh = new Mesh(['r', 's'], 1);
    const rootGrant = mesh.grant('a', {}, ['r']);
    const again = { ...rootGrant, signatures: mesh.grant('a', { nonce: rootGrant.body.nonce }, ['s']).signatures };
    const b = mesh.given(rootGrant, 'a', 'b', { patterns: patternsOf('/cities/**') });
    const c = mesh.given(b, 'b', 'c');
    const wider = mesh.given(b, 'b', 'wide', { patterns: patternsOf('**') });
    const dropped = mesh.grant('dropped', {}, ['s']);
    const left = mesh.rotated(['l'], ['r', 'l'], { carried: [rootGrant.id] });
    const right = mesh.rotated(['m'], ['s', 'm'], { carried: [rootGrant.id] });
    const byLeft = mesh.grant('left', { rootVersion: 2 }, ['l']);
    const grants = [rootGrant, b, c, wider, dropped, byLeft];
    const all = [...grants, again, left, right, mesh.revocation(c, 'a'), mesh.revocation(b, 'wide')].map(anyOf);
    const outcome = async (records: typeof all): Promise<string[]> => {
      const authority = new Authority(mesh.id, signatures);
      let waiting = [anyOf(mesh.root), ...records];
      for (let before = -1; before !== waiting.length;) {
        before = waiting.length;
        const open: typeof all = [];
        for (const any of waiting) {
          const refused: Refusal | undefined = await take(authority, any);
          if (refused !== undefined && !isFinal(refused)) open.push(any);
        }
        waiting = open;
      }
      return grants.map((grant) => verdict(authority, grant));
    };
    const expected = await outcome(all);
    assert.deepEqual(expected, ['allowed', 'allowed', 'grant_revoked 2', 'grant_wider 2', 'grant_revoked 0', 'grant_revoked 0']);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all, { minLength: all.length }), async (shuffled) => {
        assert.deepEqual(await outcome(shuffled), expected);
      }),
      { numRuns: Number(process.env['GKVMESH_TEST_ORDERS'] ?? 60) },
    );
  });
});
