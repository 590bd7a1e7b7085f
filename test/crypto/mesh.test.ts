import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { bodies } from '../core/arbitraries.ts';

const open = new MeshDigests(openMesh);

describe('mesh digests', () => {
  it('C2: the write id covers every field of the body, and the mesh', () => {
    const other = new MeshDigests({ id: new Uint8Array(32), key: openMesh.key });
    fc.assert(
      fc.property(bodies, bodies, (a, b) => {
        const { value: first, ...left } = a;
        const { value: second, ...right } = b;
        const same = Buffer.from(first).equals(second) && JSON.stringify(left) === JSON.stringify(right);
        assert.equal(Buffer.from(open.writeId(a)).equals(open.writeId(b)), same);
        assert.ok(!Buffer.from(open.writeId(a)).equals(other.writeId(a)));
      }),
    );
  });

  it('C7: about one key in 256 bounds level 1, and one in 32 of these level 2', () => {
    const levels = Array.from({ length: 400_000 }, (_, i) => open.boundLevel(Buffer.from(`key ${i}`)));
    const at = (level: number): number => levels.filter((found) => found >= level).length;
    assert.ok(at(1) > 1_400 && at(1) < 1_750, `${at(1)} of about 1562`);
    assert.ok(at(2) > 25 && at(2) < 80, `${at(2)} of about 49`);
  });

  it('C7: with another mesh key other keys bound branches', () => {
    const other = new MeshDigests({ id: openMesh.id, key: new Uint8Array(32) });
    const names = Array.from({ length: 2_000 }, (_, i) => Buffer.from(`key ${i}`));
    assert.notDeepEqual(
      names.map((name) => open.boundLevel(name)),
      names.map((name) => other.boundLevel(name)),
    );
  });

  it('C5: refuses a mesh id or key of another length', () => {
    const short = new Uint8Array(31);
    assert.throws(
      () => new MeshDigests({ id: short, key: openMesh.key }),
      (error) => hasCode(error, 'bad_config'),
    );
    assert.throws(
      () => new MeshDigests({ id: openMesh.id, key: short }),
      (error) => hasCode(error, 'bad_config'),
    );
  });
});
