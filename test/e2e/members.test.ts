import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import * as z from 'zod';
import { peersAnswer, statusAnswer } from '../../src/http/schema.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, type Ended, type RunningServer } from './server.ts';

const memberList = z.strictObject({
  epoch: z.string().regex(/^[0-9a-f]{16}$/),
  removed: z.array(z.strictObject({ clusterId: z.string(), settled: z.boolean() })),
  joining: z.array(z.unknown()).length(0),
  members: z.array(
    z.strictObject({
      clusterId: z.string(),
      regionName: z.string(),
      address: z.string(),
      self: z.boolean(),
      connected: z.boolean().nullable(),
      lagMs: z.number().nullable(),
      low: z.string().nullable(),
      scope: z.array(z.string()).nullable(),
      atEpoch: z.boolean().nullable(),
      clockSkewMs: z.number().nullable(),
      lastError: z.string().nullable(),
      defects: z.number().nullable(),
    }),
  ),
});

async function peers(server: RunningServer): Promise<z.infer<typeof peersAnswer>['peers']> {
  return peersAnswer.parse((await server.get('/peers')).json).peers;
}

/** Names of the members that a region knows, with addresses. */
async function known(server: RunningServer): Promise<string[]> {
  return (await peers(server)).map(({ regionName, address }) => `${regionName} ${address}`).sort();
}

describe('members of a mesh', () => {
  const scene = new Scene();
  let eu: RunningServer;
  let us: RunningServer;
  before(async () => {
    [eu, us] = await Promise.all([scene.server(undefined, ['--region', 'eu']), scene.server(undefined, ['--region', 'us'])]);
  });
  after(async () => {
    await scene.close();
  });

  function members(args: readonly string[], to = eu): Promise<Ended> {
    return scene.run(['members', ...args, '--url', to.api]);
  }

  it('Li5: add asks who is there, and prints it; it needs a mesh port of this mesh that is not our own', async () => {
    const other = await scene.server(undefined, ['--mesh-id', 'ab'.repeat(32)]);
    const wrong = [
      ['127.0.0.1:1', 'peer_unreachable'],
      [eu.mesh, 'malformed'],
      [other.mesh, 'mesh_mismatch'],
      [new URL(us.api).host, 'peer_protocol'],
      ['nowhere', 'malformed'],
    ] as const;
    const refused = wrong.map(async ([peer, code]) => {
      const { code: exit, stderr } = await members(['add', peer]);
      assert.deepEqual([exit, stderr.startsWith(`gkvmesh: ${code}: `)], [1, true], stderr);
    });
    await Promise.all(refused);
    assert.deepEqual(await peers(eu), [], 'what was refused wrote nothing');
    const { code, stdout, stderr } = await members(['add', us.mesh]);
    assert.deepEqual([code, stdout.toString()], [0, `${us.clusterId}  us  ${us.mesh}\n`], stderr);
    await other.stop();
  });

  it('Li5: an instance whose address nobody can call says so and writes nothing', async () => {
    const anywhere = await scene.server(undefined, ['--mesh-listen', '0.0.0.0:0', '--insecure-plaintext']);
    const refused = await anywhere.post('/control/members/add', { peer: us.mesh });
    assert.deepEqual([refused.status, errorIn(refused).code], [409, 'not_advertised']);
    assert.match(errorIn(refused).message, /--advertise HOST:PORT/);
    assert.equal((await anywhere.tree()).count, 0);
    await anywhere.stop();
  });

  it('G10, K19: one add at one of them makes both members, and both know both', async () => {
    await until(async () => (await known(us)).length === 2);
    assert.deepEqual(await known(us), [`eu ${eu.mesh}`, `us ${us.mesh}`].sort());
    assert.deepEqual(await known(eu), await known(us));
  });

  it('G26: what is written in one is soon in the other, and a read there may wait for it', async () => {
    const { accepted } = await eu.set('from/eu', 'v');
    const read = await us.post('/data/get', { key: b64('from/eu'), atLeast: accepted });
    assert.deepEqual([read.status, read.json], [200, { value: b64('v'), exists: true, version: accepted }]);
    await us.set('from/us', 'v');
    await until(async () => (await eu.read('from/us')) === 'v');
  });

  it('Li5: list shows how it goes with each, as a table and as JSON', async () => {
    const list = async (): Promise<z.infer<typeof memberList>['members']> => {
      const { stdout } = await members(['list', '--json']);
      return memberList.parse(JSON.parse(stdout.toString())).members;
    };
    await until(async () => (await list()).every(({ self, connected }) => self || connected === true));
    const [self, other] = (await list()).sort((a, b) => Number(b.self) - Number(a.self));
    assert.deepEqual(
      [self?.clusterId, self?.regionName, self?.connected, other?.clusterId, other?.regionName, other?.lastError, other?.defects],
      [eu.clusterId, 'eu', null, us.clusterId, 'us', null, 0],
    );
    const table = (await members(['list'])).stdout.toString();
    assert.match(table, /^REGION +CLUSTER ID +ADDRESS +CONNECTED +LAG +HAS ALL UP TO +DEFECTS +LAST ERROR$/m);
    assert.match(table, new RegExp(`^eu +${eu.clusterId} +${eu.mesh} +self +- `, 'm'));
    assert.match(table, new RegExp(`^us +${us.clusterId} +${us.mesh} +yes +\\d+ ms +(-|[\\d.]+ s ago) +0 +-$`, 'm'));
  });

  it('G31, G34: one that is away is told of; added again with its new address it goes on', async () => {
    await us.stop();
    const row = new RegExp(`^us +${us.clusterId} +${us.mesh} +no +.* peer_unreachable: `, 'm');
    await until(async () => row.test((await members(['list'])).stdout.toString()));
    const moved = await scene.server(us.data, ['--region', 'us']);
    assert.equal((await members(['add', moved.mesh, '--region', 'us-2'])).code, 0);
    await eu.set('after/move', 'v');
    await until(async () => (await moved.read('after/move')) === 'v');
    us = moved;
    await until(async () => (await known(us)).join() === [`eu ${eu.mesh}`, `us-2 ${us.mesh}`].join());
  });

  it('G31, Li5: remove takes a member out everywhere; one that there is not is exit 3', async () => {
    const absent = await members(['remove', '00000000-0000-0000-0000-000000000000']);
    assert.deepEqual([absent.code, /is no member/.test(absent.stderr)], [3, true]);
    assert.equal((await members(['remove', 'nonsense'])).code, 1);
    assert.equal((await members(['remove', us.clusterId])).code, 0);
    await until(async () => (await known(us)).length === 1);
    assert.deepEqual(await known(eu), [`eu ${eu.mesh}`]);
    const status = statusAnswer.parse((await eu.get('/control/status')).json);
    assert.deepEqual(status.mesh?.peers, []);
  });

  it('M28, M31: who was removed is told to start anew, is not added again, and returns from an empty store', async () => {
    await until(async () => (await us.get('/readyz')).status === 503);
    const again = await members(['add', us.mesh]);
    assert.deepEqual([again.code, again.stderr.startsWith('gkvmesh: must_bootstrap: ')], [1, true], again.stderr);
    await eu.set('after/removal', 'v');
    const anew = await scene.server(undefined, ['--region', 'anew', '--join', eu.mesh]);
    await until(async () => (await anew.get('/readyz')).status === 200);
    assert.equal(await anew.read('after/removal'), 'v');
    assert.equal(await us.read('after/removal'), undefined);
    const refused = await us.post('/data/set', { key: b64('for/nobody'), value: '' });
    assert.deepEqual([refused.status, errorIn(refused).code], [409, 'must_bootstrap']);
    const list = async (): Promise<string> => (await members(['list'])).stdout.toString();
    await until(async () => new RegExp(`^removed ${us.clusterId}: settled$`, 'm').test(await list()));
    await until(async () => /^epoch [0-9a-f]{16}: reached by all$/m.test(await list()));
  });
});
