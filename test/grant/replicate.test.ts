import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { parseKey } from '../../src/core/key.ts';
import { everything, isInScope, membersPrefix, outside, type Scope } from '../../src/core/scope.ts';
import { mayReplicate, replicatingLeaf, scopeOfChain } from '../../src/grant/replicate.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { knowing, Mesh, patternsOf, person } from './world.ts';

const rights = rightsOf(['write', 'delegate', 'replicate']);

describe('T21: the scope of a chain', () => {
  const mesh = new Mesh();
  const segment = fc.constantFrom('', 'a', 'b', '@system', 'peers');
  const pattern = fc.array(segment, { maxLength: 3 }).map((segments) => [...segments, '**'].join('/'));
  const patterns = fc.uniqueArray(pattern, { minLength: 1, maxLength: 8 });
  const keyText = fc
    .array(fc.constantFrom('', 'a', 'b', 'a\0', '@system', 'peers'), { minLength: 1, maxLength: 4 })
    .map((segments) => segments.join('/'));

  it('holds the keys that match a pattern of every link, and the records of members, and no others', () => {
    fc.assert(
      fc.property(fc.array(patterns, { minLength: 1, maxLength: 3 }), keyText, (links, text) => {
        fc.pre(text !== '');
        const chain = links.map((texts) => mesh.grant('a', { rights, patterns: patternsOf(...texts) }));
        const key = parseKey(Buffer.from(text));
        const isNamed = chain.every(({ body }) => body.patterns.some((each) => each.matches(key)));
        assert.equal(isInScope(key, scopeOfChain(chain)), isNamed || text.startsWith(Buffer.from(membersPrefix).toString()));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is everything where ** is among the patterns of each, and nothing else is', () => {
    const [whole, mixed, part] = [['**'], ['**', 'a/**'], ['a/**']].map((texts) =>
      mesh.grant('a', { rights, patterns: patternsOf(...texts) }),
    );
    assert.ok(whole !== undefined && mixed !== undefined && part !== undefined);
    assert.equal(scopeOfChain([whole, mixed]), everything);
    assert.notEqual(outside(scopeOfChain([whole, part, mixed])).length, 0);
  });
});

describe('T20: who may replicate', () => {
  const mesh = new Mesh();
  const held = mesh.grant('a', { rights });
  const parts = mesh.grant('a', { rights, patterns: patternsOf('/cities/**', '/roads/**') });
  const mixed = mesh.grant('a', { rights, patterns: patternsOf('**', '/roads/**') });
  const writes = mesh.grant('a');

  for (const [what, leaf, holder, atMs, expected] of [
    ['the holder of a grant of replicate on **', held, 'a', 1_500, 'allowed'],
    ['of one with ** among its patterns', mixed, 'a', 1_500, 'allowed'],
    ['of one that was given on', mesh.given(held, 'a', 'b'), 'b', 1_500, 'allowed'],
    ['of one without the right', writes, 'a', 1_500, 'right_denied 0'],
    ['of one on parts alone', parts, 'a', 1_500, 'allowed'],
    ['of one on a part, of **', mesh.given(held, 'a', 'b', { patterns: patternsOf('/cities/**') }), 'b', 1_500, 'allowed'],
    ['before it', held, 'a', 999, 'grant_time 0'],
    ['after it', held, 'a', 2_000, 'grant_time 0'],
    ['another key', held, 'b', 1_500, 'bad_signature 0'],
  ] as const) {
    it(`${what}: ${expected}`, async () => {
      const { authority } = await knowing(mesh, held, parts, mixed, writes, leaf);
      const answer = mayReplicate(authority, leaf.id, person(holder).publicKey, atMs);
      assert.equal(answer.kind === 'allowed' ? 'allowed' : `${answer.refusal.code} ${answer.refusal.link ?? '-'}`, expected);
    });
  }

  it('K10: no more, once a link has ended', async () => {
    const given = mesh.given(held, 'a', 'b');
    const { authority } = await knowing(mesh, held, given, mesh.revocationByRoot(held));
    const answer = mayReplicate(authority, given.id, person('b').publicKey, 1_500);
    assert.deepEqual([answer.kind, answer.kind === 'refused' && answer.refusal.code], ['refused', 'grant_revoked']);
  });

  it('of several grants the one with the fewest links serves, however late a delegate gives another, and of these the latest that is not left out', async () => {
    const [own, again] = [mesh.grant('b', { rights, notBeforeMs: 1_001 }), mesh.grant('b', { rights, notBeforeMs: 1_002 })];
    const gifts = [mesh.given(held, 'a', 'b', { notBeforeMs: 1_300 }), mesh.given(held, 'a', 'b', { notBeforeMs: 1_400 })];
    const { authority } = await knowing(mesh, held, own, again, ...gifts);
    const served: Uint8Array[] = [];
    for (let answer; (answer = replicatingLeaf(authority, person('b').publicKey, 1_500, { tried: served })).kind === 'allowed';) {
      served.push(answer.chain.at(-1)?.id ?? new Uint8Array(0));
    }
    assert.deepEqual(
      served,
      [again, own, gifts[1], gifts[0]].map((grant) => grant?.id),
    );
  });

  it('what one delegate gives in plenty takes turns with what others gave, of as many links, and after what has fewer', async () => {
    const [rogue, honest] = [mesh.grant('d', { rights }), mesh.grant('h', { rights })];
    const deeper = mesh.given(rogue, 'd', 'e');
    const gifts = [1, 2, 3, 4, 5].map((i) => mesh.given(rogue, 'd', 'b', { notBeforeMs: 1_400 + i }));
    const further = mesh.given(deeper, 'e', 'b', { notBeforeMs: 1_450 });
    const [good, own] = [mesh.given(honest, 'h', 'b'), mesh.grant('b', { rights })];
    const { authority } = await knowing(mesh, rogue, honest, deeper, ...gifts, further, good, own);
    const tried: Uint8Array[] = [];
    for (let i = 0; i < 4; i += 1) {
      const answer = replicatingLeaf(authority, person('b').publicKey, 1_500, { tried });
      assert.ok(answer.kind === 'allowed');
      tried.push(answer.chain.at(-1)?.id ?? new Uint8Array(0));
    }
    assert.deepEqual(
      tried,
      [own, gifts[4], good, gifts[3]].map((grant) => grant?.id),
    );
  });

  it('of several grants that which begins last serves; where none does, the one that gets furthest tells why', async () => {
    const latest = mesh.given(held, 'a', 'b', { notBeforeMs: 1_200 });
    const [first, later] = [mesh.given(held, 'a', 'b'), mesh.given(held, 'a', 'b', { notBeforeMs: 1_600 })];
    const { authority } = await knowing(mesh, held, first, latest, later, writes, parts);
    const leafAt = (holder: string, atMs: number): unknown => {
      const answer = replicatingLeaf(authority, person(holder).publicKey, atMs);
      return answer.kind === 'allowed' ? answer.chain.at(-1) : answer.refusal.code;
    };
    assert.deepEqual([leafAt('b', 1_500), leafAt('b', 5_000), leafAt('nobody', 1_500)], [latest, 'grant_time', 'grant_unknown']);
    const { authority: other } = await knowing(mesh, writes, parts);
    const answer = replicatingLeaf(other, person('a').publicKey, 1_500, { scope: everything });
    assert.equal(answer.kind === 'refused' && answer.refusal.code, 'scope_mismatch');
  });

  it('T22: where a scope is asked for, a grant that gives just that serves, and none that gives more or less', async () => {
    const narrow = mesh.given(held, 'a', 'b', { patterns: patternsOf('/cities/**'), notBeforeMs: 1_300 });
    const whole = mesh.given(held, 'a', 'b', { notBeforeMs: 1_200 });
    const { authority } = await knowing(mesh, held, narrow, whole);
    const leafFor = (scope?: Scope): unknown => {
      const answer = replicatingLeaf(authority, person('b').publicKey, 1_500, scope === undefined ? {} : { scope });
      return answer.kind === 'allowed' ? answer.chain.at(-1) : answer.refusal.code;
    };
    const cities = scopeOfChain([narrow]);
    assert.deepEqual([leafFor(), leafFor(cities), leafFor(everything)], [narrow, narrow, whole]);
    assert.equal(leafFor(scopeOfChain([mesh.grant('b', { rights, patterns: patternsOf('/roads/**') })])), 'scope_mismatch');
  });
});
