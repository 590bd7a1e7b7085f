import assert from 'node:assert/strict';
import { takeIn, type WriteSink } from '../../src/aae/responder.ts';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance, stampZero } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { received } from '../replica/received.ts';
import { DenseDigests } from './world.ts';

describe('what an exchange brings', () => {
  it('I3: R23: is taken in with all writes of a key in one commit', async () => {
    const digests = new DenseDigests(4);
    const at = makeStamp(1_700_000_000_000, 0, parseInstance(new Uint8Array(8)));
    const shape = (leaf: number): object => ({ leaf: parseGrantId(new Uint8Array(32).fill(leaf)) });
    const others = Array.from({ length: limits.commitWritesMax - 1 }, (_, i) => received(digests, `k${i}`, at));
    const commits: string[][] = [];
    const sink: WriteSink = {
      receive: (writes) => {
        commits.push(writes.map(({ write }) => Buffer.from(write.key).toString()));
        return Promise.resolve(writes.map(({ accepted }) => ({ status: 'applied', stamp: accepted })));
      },
    };
    const [one, two, three] = [1, 2, 3].map((leaf) => received(digests, 'same', at, at, shape(leaf)));
    assert.ok(one && two && three);
    await takeIn(sink, [...others, one, two, three], 'peer', stampZero);
    const counts = commits.map((keys) => keys.filter((name) => name === 'same').length);
    assert.deepEqual(counts, [0, 3]);
  });
});
