import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { standing } from '../../src/grant/authorise.ts';
import { type Authority } from '../../src/grant/authority.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { HeldGrants } from '../../src/grant/holdings.ts';
import { knowing, Mesh, person } from './world.ts';

/** As each grant is judged by itself. */
function assertHeld(authority: Authority, name: string): void {
  const { publicKey } = person(name);
  const own = authority.grants().filter(({ body }) => Buffer.compare(body.audience, publicKey) === 0);
  const answers = own.map(({ id }) => standing(authority, id));
  const { chains, ended } = authority.heldBy(publicKey);
  assert.deepEqual(
    chains,
    answers.flatMap((answer) => (answer.kind === 'allowed' ? [answer.chain] : [])),
  );
  assert.deepEqual(
    ended,
    own.filter((_, i) => answers[i]?.kind === 'refused'),
  );
}

describe('T11: what a key holds', () => {
  const mesh = new Mesh();
  const held = mesh.grant('d');
  const deeper = mesh.given(held, 'd', 'e');
  const own = mesh.grant('b');
  const gifts = [1, 2, 3].map(() => mesh.given(deeper, 'e', 'b'));

  it('is told as each of its grants is judged by itself, whatever comes and ends', async () => {
    const { authority } = await knowing(mesh, held, own);
    for (const take of [
      () => authority.takeGrant(deeper),
      ...gifts.map((gift) => () => authority.takeGrant(gift)),
      () => authority.takeRevocation(mesh.revocationByRoot(gifts[1] as Grant)),
      () => authority.takeGrant(mesh.given(held, 'd', 'b')),
      () => authority.takeRevocation(mesh.revocationByRoot(deeper)),
      () => authority.takeGrant(mesh.given(deeper, 'e', 'b')),
      () => authority.takeRevocation(mesh.revocationByRoot(own)),
      () => authority.takeRevocation(mesh.revocationByRoot(held)),
    ]) {
      assert.equal(await take(), undefined);
      for (const name of ['b', 'd', 'e', 'nobody']) assertHeld(authority, name);
    }
    assert.deepEqual(authority.heldBy(person('b').publicKey).chains, []);
  });

  it('I9: each grant is looked at once, however often it is asked and however much else comes, and links that many share once for all', async () => {
    const { authority } = await knowing(mesh, held, deeper, ...gifts);
    let looks = 0;
    const counted = new Proxy(authority, {
      get: (target, name) => {
        if (name === 'revocationsOf') looks += 1;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (...args: unknown[]): unknown => Reflect.apply(value, target, args) : value;
      },
    });
    const grants = new HeldGrants(counted);
    const looksFor = (): number => {
      looks = 0;
      grants.heldBy(person('b').publicKey);
      return looks;
    };
    assert.deepEqual([looksFor(), looksFor()], [gifts.length + 2, 0]);
    await authority.takeGrant(mesh.given(deeper, 'e', 'b'));
    assert.deepEqual([looksFor(), looksFor()], [1, 0]);
    await authority.takeRevocation(mesh.revocationByRoot(held));
    assert.deepEqual([looksFor(), looksFor()], [1, 0], 'what rests on what has ended is not looked at');
  });
});
