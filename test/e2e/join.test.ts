import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { peersAnswer, statusAnswer } from '../../src/http/schema.ts';
import { freePort } from '../region.ts';
import { until } from '../support.ts';
import { FaultProxy } from './proxy.ts';
import { b64, errorIn, Scene, serveArgs, type RunningServer } from './server.ts';

/** Of 500 a page: whoever is killed repeats two pages at the most, so that three times are less than 5 %. */
const entries = 72_000;

describe('joining a mesh', () => {
  const scene = new Scene();
  const proxy = new FaultProxy();
  let donor: RunningServer;
  let toDonor: string;
  before(async () => {
    donor = await scene.server(undefined, ['--region', 'donor']);
    toDonor = await proxy.listen('donor');
    proxy.target('donor', donor.mesh);
    await Promise.all([0, 1, 2, 3].map((part) => donor.fill(`k/${part}/`, entries / 4)));
    await donor.post('/data/set', { key: b64('k/0/00007'), delete: true });
  });
  after(async () => {
    await proxy.close();
    await scene.close();
  });

  async function beingFilled(server: RunningServer): Promise<string[]> {
    const { mesh } = statusAnswer.parse((await server.get('/control/status')).json);
    assert.ok(mesh);
    assert.ok(mesh.joining.every(({ clusterId }) => mesh.floorHeldBackBy.includes(clusterId)));
    return mesh.joining.map(({ clusterId }) => clusterId);
  }

  async function members(server: RunningServer): Promise<string[]> {
    return peersAnswer
      .parse((await server.get('/peers')).json)
      .peers.map(({ regionName }) => regionName)
      .sort();
  }

  it('G11: an empty region is filled, and ready then; killed thrice before it goes on where it was', async () => {
    const data = join(scene.dir(), 'data');
    let wire = { bytes: 0 };
    for (let killed = 0; killed < 3; killed += 1) {
      const joining = await scene.joining(toDonor, data);
      wire = proxy.link(joining.clusterId, 'donor').counts;
      const killAt = wire.bytes + 600_000;
      await until(() => wire.bytes > killAt);
      const ready = await joining.get('/readyz');
      assert.equal(ready.status, 503);
      assert.match(errorIn(ready).message, new RegExp(`joins the mesh from ${toDonor}, \\d+ writes so far$`));
      await joining.crash();
      await until(async () => (await beingFilled(donor)).join() === joining.clusterId);
    }
    const bytesOfKilled = wire.bytes;
    const last = await scene.server(data, ['--region', 'new']); // without --join too: a store that lacks something is not served
    assert.equal((await last.tree()).sum, (await donor.tree()).sum);
    const [, writes] = await last.process.line(/^gkvmesh joined: (\d+) writes, \d+\.\d MB, \d+ writes\/s in \d+\.\d s\n/m);
    const repeated = (Number(writes) * wire.bytes) / (wire.bytes - bytesOfKilled) - entries;
    assert.ok(repeated < 0.05 * entries, `${repeated} writes came twice`);
    await last.set('from/new', 'v');
    await until(async () => (await donor.read('from/new')) === 'v');
    await until(async () => (await members(donor)).length === 2);
    await until(async () => (await beingFilled(donor)).length === 0);
    assert.deepEqual(
      [await members(donor), await members(last)],
      [
        ['donor', 'new'],
        ['donor', 'new'],
      ],
    );
    await donor.set('from/donor', 'v');
    await until(async () => (await last.read('from/donor')) === 'v');
    await last.stop();
  });

  it('a member that is told to join just serves, whether its donor is there or not', async () => {
    const data = join(scene.dir(), 'data');
    const first = await scene.server(data);
    await first.post('/control/members/add', { peer: donor.mesh });
    await first.stop();
    const again = await scene.server(data, ['--join', '127.0.0.1:1']);
    assert.equal((await again.get('/readyz')).status, 200);
    await again.stop();
  });

  it('a donor that is not there yet is waited for, and the log says so', async () => {
    const port = await freePort();
    const joining = await scene.joining(`127.0.0.1:${port}`);
    await until(() => joining.process.stderr.includes('cannot join yet; it is tried again'));
    assert.match(joining.process.stderr, /peer_unreachable/);
    const late = await scene.server(undefined, ['--mesh-listen', `127.0.0.1:${port}`]);
    await joining.ready();
    await Promise.all([joining.stop(), late.stop()]);
  });

  it('stops at once while it waits', async () => {
    const joining = await scene.joining('127.0.0.1:1');
    const { code, stdout } = await joining.stop();
    assert.deepEqual([code, /ready/.test(stdout.toString())], [0, false]);
  });

  it('of another mesh, from itself, or with data of its own it ends with an error, and is not ready before', async () => {
    const other = await scene.server(undefined, ['--mesh-id', 'ab'.repeat(32)]);
    const filled = await scene.server();
    await filled.set('k', 'v');
    await filled.stop();
    const port = await freePort();
    const itself = `127.0.0.1:${port}`;
    const args = (): string[] => serveArgs(join(scene.dir(), 'data')).slice(1);
    const [, ...filledArgs] = serveArgs(filled.data);
    const lines = [
      [['join', other.mesh, ...args()], 1, /^gkvmesh: mesh_mismatch: /m],
      [['join', donor.mesh, ...filledArgs], 2, /^gkvmesh: bad_config: --join: this store holds 1 writes and is no member/m],
      [['join', itself, ...args(), '--mesh-listen', itself], 2, /^gkvmesh: bad_config: --join: .* is this cluster itself/m],
      [['join', 'nowhere', ...args()], 2, /^gkvmesh: bad_config: --join: /m],
      [
        ['join', donor.mesh, ...args(), '--mesh-listen', '0.0.0.0:0', '--insecure-plaintext'],
        2,
        /^gkvmesh: bad_config: --join: .*--advertise/m,
      ],
    ] as const;
    const ended = lines.map(async ([line, exit, message]) => {
      const { code, stdout, stderr } = await scene.run(line);
      assert.equal(code, exit, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stdout.toString(), /ready/);
    });
    await Promise.all(ended);
    await other.stop();
  });
});
