import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { Agreement } from '../../src/crypto/agreement.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('X25519', () => {
  it('both sides agree: RFC 7748, 6.1', () => {
    const alice = new Agreement(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
    const bob = new Agreement(hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'));
    assert.equal(toHex(alice.publicKey), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    assert.equal(toHex(bob.publicKey), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    for (const agreed of [alice.with(bob.publicKey), bob.with(alice.publicKey)])
      assert.equal(toHex(agreed), '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
  });

  it('points of small order, with which anybody would come to the same, are none to agree with', () => {
    const own = new Agreement(new Uint8Array(32).fill(9));
    for (const point of [
      '00'.repeat(32),
      `01${'00'.repeat(31)}`,
      'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ]) {
      assert.throws(
        () => own.with(hex(point)),
        (error) => hasCode(error, 'bad_public_key'),
      );
    }
    assert.throws(
      () => own.with(new Uint8Array(31)),
      (error) => hasCode(error, 'bad_public_key'),
    );
  });
});
