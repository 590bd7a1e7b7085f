import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import * as z from 'zod';
import { peersAnswer, statusAnswer } from '../../src/http/schema.ts';
import { Network } from '../network.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, type Ended, type RunningServer } from './server.ts';

const memberList = z.object({
  members: z.array(
    z.strictObject({
      clusterId: z.string(),
      regionName: z.string(),
      address: z.string(),
      self: z.boolean(),
      connected: z.boolean().nullable(),
      lagMs: z.number().nullable(),
      low: z.string().nullable(),
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

async function isLevel(...servers: readonly RunningServer[]): Promise<boolean> {
  return new Set((await Promise.all(servers.map((server) => server.tree()))).map(({ sum }) => sum)).size === 1;
}

describe('members of a mesh', () => {
  const scene = new Scene();
  const network = new Network();
  let eu: RunningServer;
  let us: RunningServer;
  let toUs: string;
  before(async () => {
    [eu, us] = await Promise.all([scene.server(undefined, ['--region', 'eu']), scene.server(undefined, ['--region', 'us'])]);
    toUs = await network.to(us);
  });
  after(async () => {
    await network.close();
    await scene.close();
  });

  function members(args: readonly string[], to = eu): Promise<Ended> {
    return scene.run(['members', ...args, '--url', to.api]);
  }

  it('Li5: add asks who is there, and prints it; it needs a mesh port of this mesh that is not our own', async () => {
    const other = await scene.server(undefined, ['--mesh-id', 'ab'.repeat(32)]);
    for (const [peer, code] of [
      ['127.0.0.1:1', 'peer_unreachable'],
      [eu.mesh, 'malformed'],
      [other.mesh, 'mesh_mismatch'],
      [new URL(us.api).host, 'peer_protocol'],
      ['nowhere', 'malformed'],
    ] as const) {
      const { code: exit, stderr } = await members(['add', peer]);
      assert.deepEqual([exit, stderr.startsWith(`gkvmesh: ${code}: `)], [1, true], stderr);
    }
    assert.deepEqual(await peers(eu), [], 'what was refused wrote nothing');
    const { code, stdout, stderr } = await members(['add', toUs]);
    assert.deepEqual([code, stdout.toString()], [0, `${us.clusterId}  us  ${toUs}\n`], stderr);
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
    assert.deepEqual(await known(us), [`eu ${eu.mesh}`, `us ${toUs}`].sort());
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
    assert.match(table, new RegExp(`^us +${us.clusterId} +${toUs} +yes +\\d+ ms +(-|[\\d.]+ s ago) +0 +-$`, 'm'));
  });

  it('G31, G34: a cut is seen, both sides go on, and all of it is level when it heals', async () => {
    network.cut(us.clusterId);
    const status = async (): Promise<{ connected: boolean; lastError: string | null } | undefined> =>
      statusAnswer.parse((await eu.get('/control/status')).json).mesh?.peers[0];
    await until(async () => (await status())?.connected === false);
    assert.match((await status())?.lastError ?? '', /^peer_unreachable: /);
    await Promise.all([eu.set('apart/eu', 'v'), us.set('apart/us', 'v'), eu.post('/data/set', { key: b64('from/us'), delete: true })]);
    network.heal();
    await until(() => isLevel(eu, us));
    assert.deepEqual([await eu.read('apart/us'), await us.read('apart/eu'), await us.read('from/us')], ['v', 'v', undefined]);
  });

  it('G31: one that has moved is added again with its new address, and goes on', async () => {
    await us.stop();
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
});
