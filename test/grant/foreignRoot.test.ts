import assert from 'node:assert/strict';
import { signStatement } from '../../src/grant/record.ts';
import { rootLayout } from '../../src/grant/root.ts';
import { knowing, Mesh, person } from './world.ts';

const zero = new Uint8Array(32);

describe('T10: root documents of others', () => {
  it('a first one whose id is not the mesh id is taken in by nobody, though it is signed for this mesh', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('a');
    const body = mesh.rootBody(['thief'], { version: 1, previous: zero });
    const foreign = signStatement(rootLayout, mesh.id, body, [person('thief')]);
    const stolen = mesh.grant('thief', {}, ['thief']);
    const { authority, codeOf } = await knowing(mesh, held, foreign, stolen);
    assert.deepEqual([codeOf(held), codeOf(foreign), codeOf(stolen)], [undefined, 'root_unknown', 'threshold']);
    assert.equal(authority.rootsOf(1).length, 1, 'no fork, by which all grants would end');
  });
});
