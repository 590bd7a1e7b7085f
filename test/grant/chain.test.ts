import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equalBytes } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { parseRecordText, recordText } from '../../src/grant/anyRecord.ts';
import { authorise } from '../../src/grant/authorise.ts';
import { grantLayout, type Grant } from '../../src/grant/grant.ts';
import { type Known } from '../../src/grant/known.ts';
import { signedMessage } from '../../src/grant/record.ts';
import { grantLimits } from '../../src/grant/limits.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { anyOf, ask, knowing, Mesh, patternsOf, person, verdict } from './world.ts';

/** As many links as asked for, given by 0, 1, 2… */
function chainOf(mesh: Mesh, links: number): Grant[] {
  const chain = [mesh.grant('0')];
  while (chain.length < links) chain.push(mesh.given(chain.at(-1)!, `${chain.length - 1}`, `${chain.length}`));
  return chain;
}

describe('chains', () => {
  it('K2: T9: what the root gives is allowed, and names the chain', async () => {
    const mesh = new Mesh();
    const grant = mesh.grant('cluster');
    const { authority, codes } = await knowing(mesh, grant);
    assert.deepEqual(codes, []);
    const answer = authorise(authority, grant.id, ask());
    assert.ok(answer.kind === 'allowed');
    assert.deepEqual(
      answer.chain.map(({ id }) => id),
      [grant.id],
    );
  });

  it('T11: a key is taken apart once, whatever the links and patterns', async () => {
    const mesh = new Mesh();
    const patterns = patternsOf('**/A', '**/B', '**/FR/1', '/cities/**');
    const parent = mesh.grant('0', { patterns });
    const leaf = mesh.given(parent, '0', '1', { patterns: patternsOf('**/A', '**/B', '**/FR/1') });
    const { authority } = await knowing(mesh, parent, leaf);
    const taken: (readonly string[])[] = [];
    for (const { body } of [parent, leaf])
      for (const pattern of body.patterns) {
        const real = pattern.matchesSegments.bind(pattern);
        pattern.matchesSegments = (segments) => {
          taken.push(segments);
          return real(segments);
        };
      }
    assert.equal(verdict(authority, leaf), 'allowed');
    assert.deepEqual([taken.length, new Set(taken).size], [6, 1]);
  });

  it('K5: T9: eight links stand, whatever the order they came in; a ninth is chain_too_long', async () => {
    const mesh = new Mesh();
    const chain = chainOf(mesh, 8);
    const { authority, codes } = await knowing(mesh, ...[...chain].reverse());
    assert.deepEqual(codes, []);
    assert.equal(verdict(authority, chain[6]!), 'allowed');
    assert.equal(verdict(authority, chain[7]!), 'allowed');
    const ninth = mesh.given(chain[7]!, '7', '8');
    const more = await knowing(mesh, ...chain, ninth);
    assert.equal(more.codeOf(ninth), 'chain_too_long');
    assert.equal(verdict(more.authority, ninth), 'chain_too_long -');
  });

  it('T9: a cycle, which no digest allows, would be chain_too_long', () => {
    const mesh = new Mesh();
    const [root, leaf] = chainOf(mesh, 2) as [Grant, Grant];
    const loop = { ...root, body: { ...root.body, parent: leaf.id } };
    const cyclic: Known = {
      meshId: mesh.id,
      grant: (id) => (equalBytes(id, leaf.id) ? leaf : loop),
      refused: () => undefined,
      rootsOf: () => [mesh.root],
      rootsAfter: () => [],
      revocationsOf: () => [],
    };
    const answer = authorise(cyclic, leaf.id, ask());
    assert.ok(answer.kind === 'refused');
    assert.equal(answer.refusal.code, 'chain_too_long');
  });

  it('T9: a missing parent is grant_unknown, a root document that is not known root_unknown; both end once it is', async () => {
    const mesh = new Mesh();
    const [root, leaf] = chainOf(mesh, 2) as [Grant, Grant];
    const without = await knowing(mesh, leaf);
    assert.equal(without.codeOf(leaf), 'grant_unknown');
    assert.equal(verdict(without.authority, leaf), 'grant_unknown -');
    assert.equal(await without.authority.takeGrant(root), undefined);
    assert.equal(await without.authority.takeGrant(leaf), undefined);
    assert.equal(verdict(without.authority, leaf), 'allowed');
    const early = mesh.grant('x', { rootVersion: 2 });
    assert.equal((await knowing(mesh, early)).codeOf(early), 'root_unknown');
  });

  it('K7: T9: a key that is none is bad_public_key, in audience, issuer or signature', async () => {
    const mesh = new Mesh();
    const small = new Uint8Array(32).fill(1, 0, 1);
    const bad = mesh.grant('x', { audience: small });
    const signed = mesh.grant('x');
    const byNone = { ...signed, signatures: [{ key: small, signature: signed.signatures[0]!.signature }, ...signed.signatures] };
    assert.equal((await knowing(mesh, bad)).codeOf(bad), 'bad_public_key');
    assert.equal((await knowing(mesh, byNone)).codeOf(byNone), 'bad_public_key');
  });

  it('K1: T9: a signature of another body, mesh or kind is grant_signature', async () => {
    const mesh = new Mesh();
    const [first, second] = [mesh.grant('x'), mesh.grant('y')];
    const swapped = { ...first, signatures: second.signatures };
    assert.equal((await knowing(mesh, swapped)).codeOf(swapped), 'grant_signature');
    const elsewhere = new Mesh(['root', 'other']).grant('x');
    const { authority } = await knowing(mesh);
    assert.equal((await authority.takeGrant(elsewhere))?.code, 'grant_signature');
    const revocation = mesh.revocationByRoot(first);
    const asGrant = { ...first, signatures: revocation.signatures };
    assert.equal((await knowing(mesh, asGrant)).codeOf(asGrant), 'grant_signature');
  });

  it('K3: T9: a grant signed by who is not the root is threshold; a stranger who uses another’s grant as parent is issuer_mismatch', async () => {
    const mesh = new Mesh();
    const own = mesh.grant('stranger', {}, ['stranger']);
    assert.equal((await knowing(mesh, own)).codeOf(own), 'threshold');
    const held = mesh.grant('holder');
    const taken = mesh.given(held, 'stranger', 'friend');
    const { codeOf, authority } = await knowing(mesh, held, taken);
    assert.equal(codeOf(taken), 'issuer_mismatch');
    assert.equal(verdict(authority, taken), 'issuer_mismatch 1');
  });

  it('C17: T10: a threshold of two takes two keys of the root, one key counts once, and others do not count', async () => {
    const mesh = new Mesh(['a', 'b', 'c'], 2);
    const codes = async (...signers: string[]): Promise<string | undefined> => {
      const grant = mesh.grant('x', {}, signers);
      return (await knowing(mesh, grant)).codeOf(grant);
    };
    assert.equal(await codes('a'), 'threshold');
    assert.equal(await codes('a', 'stranger'), 'threshold');
    assert.equal(await codes('a', 'c'), undefined);
    assert.equal(await codes('a', 'b', 'c', 'stranger'), undefined);
    const [left, right] = [mesh.grant('x', {}, ['a']), mesh.grant('x', {}, ['b'])];
    const merged = { ...left, signatures: [...left.signatures, ...right.signatures] };
    assert.equal((await knowing(mesh, merged)).codeOf(merged), 'grant_signature');
  });

  it('K5: T9: what may not be given on is not_delegable', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('holder', { rights: rightsOf(['write']), depth: 0 });
    const given = mesh.given(held, 'holder', 'friend');
    const { codeOf, authority } = await knowing(mesh, held, given);
    assert.equal(codeOf(given), 'not_delegable');
    assert.equal(verdict(authority, held), 'allowed');
  });

  for (const [what, child] of [
    ['a right', { rights: rightsOf(['read', 'replicate']), depth: 0, patterns: patternsOf('/cities/FR/**') }],
    ['depth', { depth: 3, rights: rightsOf(['read', 'delegate']) }],
    ['an earlier beginning', { notBeforeMs: 999 }],
    ['a later end', { expiresMs: 2_001 }],
    ['a pattern', { patterns: patternsOf('/cities/**') }],
    ['one pattern of two', { patterns: patternsOf('/cities/FR/x', '/cities/DE/**') }],
  ] as const) {
    it(`K6: T9: a grant that is wider than its parent in ${what} is grant_wider, and so is what follows from it`, async () => {
      const mesh = new Mesh();
      const rights = rightsOf(['read', 'write', 'delegate']);
      const held = mesh.grant('a', { depth: 3, rights, patterns: patternsOf('/cities/FR/**', '/hi') });
      const wider = mesh.given(held, 'a', 'b', child);
      const after = mesh.given(wider, 'b', 'c', { patterns: patternsOf('/cities/FR/x') });
      const { codeOf, authority } = await knowing(mesh, held, wider, after);
      assert.deepEqual([codeOf(wider), codeOf(after)], ['grant_wider', 'grant_wider']);
      assert.equal(verdict(authority, after), 'grant_wider 1');
    });
  }

  it('K4: T11: right, key and time must be those of every link; the first check that fails is told, with its link', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('a', { patterns: patternsOf('/cities/**') });
    const given = mesh.given(held, 'a', 'b', {
      rights: rightsOf(['write']),
      depth: 0,
      patterns: patternsOf('/cities/FR/**'),
      expiresMs: 1_800,
    });
    const { authority } = await knowing(mesh, held, given);
    for (const [question, expected] of [
      [ask(), 'allowed'],
      [ask('delete'), 'right_denied 1'],
      [ask('replicate'), 'right_denied 0'],
      [ask('write', '/cities/DE/1'), 'key_denied 1'],
      [ask('write', '/else'), 'key_denied 0'],
      [ask('write', '/cities/FR/1', 999), 'grant_time 0'],
      [ask('write', '/cities/FR/1', 1_000), 'allowed'],
      [ask('write', '/cities/FR/1', 1_799), 'allowed'],
      [ask('write', '/cities/FR/1', 1_800), 'grant_time 1'],
      [ask('write', '/cities/FR/1', 2 ** 48 - 1), 'grant_time 0'],
      [ask('delete', '/else', 0), 'right_denied 1'],
      [ask('write', '/cities/FR/../DE/1'), 'allowed'],
      [ask('write', '/cities//FR/1'), 'key_denied 1'],
    ] as const) {
      assert.equal(verdict(authority, given, question), expected);
    }
  });

  it('T11: why a grant is not good at a time is the same whenever it is asked, in dates', async () => {
    const mesh = new Mesh();
    const grant = mesh.grant('a');
    const { authority } = await knowing(mesh, grant);
    const why = (atMs: number): string => {
      const answer = authorise(authority, grant.id, ask('write', '/cities/FR/1', atMs));
      return answer.kind === 'refused' ? answer.refusal.message : answer.kind;
    };
    assert.deepEqual([999, 1].map(why), Array(2).fill('is good from 1970-01-01T00:00:01.000Z on, and not before'));
    assert.deepEqual([2_000, 3_000, 2 ** 48 - 1].map(why), Array(3).fill('ended at 1970-01-01T00:00:02.000Z'));
  });

  it('T9: a second signature of one body is no second grant, and is not kept', async () => {
    const mesh = new Mesh(['root', 'other'], 1);
    const grant = mesh.grant('x');
    const again = { ...grant, signatures: mesh.grant('x', { nonce: grant.body.nonce }, ['other']).signatures };
    const { authority, codes } = await knowing(mesh, grant, again);
    assert.deepEqual(codes, []);
    assert.equal(authority.grants().length, 1);
    assert.deepEqual(authority.grant(grant.id)?.signatures, grant.signatures);
  });

  it('I9: T9: why grants were refused is remembered of the latest alone', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('holder', { rights: rightsOf(['write']), depth: 0 });
    const { authority } = await knowing(mesh, held);
    const first = mesh.given(held, 'holder', 'friend');
    await authority.takeGrant(first);
    assert.equal(verdict(authority, first), 'not_delegable 1');
    for (let i = 0; i < grantLimits.refusedRememberedMax; i += 1) {
      const { id, body } = first;
      const other = Buffer.from(id);
      other.writeUInt32BE(i);
      const signature = person('holder').sign(signedMessage(grantLayout, mesh.id, other));
      await authority.takeGrant({ id: other, body, signatures: [{ key: body.issuer, signature }] });
    }
    assert.equal(verdict(authority, first), 'grant_unknown -');
  });

  it('T12: the text of a record has one spelling', () => {
    const mesh = new Mesh();
    const grant = mesh.grant('x');
    for (const record of [mesh.root, grant, mesh.revocationByRoot(grant)]) {
      const text = recordText(anyOf(record));
      assert.deepEqual(recordText(parseRecordText(text, mesh.id)), text);
      const [kind = '', base64 = ''] = text.split(':');
      for (const wrong of [
        '',
        kind,
        base64,
        `${kind.toUpperCase()}:${base64}`,
        `${text} `,
        `${text}:`,
        `${kind}: ${base64}`,
        `other:${base64}`,
      ]) {
        assert.throws(
          () => parseRecordText(wrong, mesh.id),
          (error) => hasCode(error, 'malformed'),
        );
      }
    }
    assert.throws(
      () => parseRecordText('a'.repeat(70_000), mesh.id),
      (error) => hasCode(error, 'too_large'),
    );
  });

  it('T9: a child’s chain allows nothing that its parent’s does not', async () => {
    const mesh = new Mesh();
    const texts = ['**', '/a/**', '/a/*', '/a/b', '/*/b', '**/b'];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...texts),
        fc.constantFrom(...texts),
        fc.integer({ min: 1, max: 7 }),
        async (outer, inner, rights) => {
          const held = mesh.grant('a', { patterns: patternsOf(outer) });
          const given = mesh.given(held, 'a', 'b', { rights, depth: 0, patterns: patternsOf(inner) });
          const { authority } = await knowing(mesh, held, given);
          for (const key of ['/a', '/a/b', '/a/b/c', 'b', '/c/b']) {
            for (const right of ['read', 'write', 'delete'] as const) {
              if (verdict(authority, given, ask(right, key)) !== 'allowed') continue;
              assert.equal(verdict(authority, held, ask(right, key)), 'allowed');
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
