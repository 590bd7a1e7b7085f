import assert from 'node:assert/strict';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { statusAnswer } from '../../src/http/schema.ts';
import { until } from '../support.ts';
import { Scene, type RunningServer } from './server.ts';

describe('gkvmesh renew', function () {
  this.timeout(120_000);
  const scene = new Scene();
  after(() => scene.close());

  async function faultOf(server: RunningServer): Promise<string | null | undefined> {
    const { mesh } = statusAnswer.parse((await server.get('/control/status')).json);
    return mesh?.fault ?? mesh?.peers.find(({ fault }) => fault !== null)?.fault ?? null;
  }

  async function introduce(to: RunningServer, ...members: readonly RunningServer[]): Promise<void> {
    for (const member of members) await to.set(`@system/peers/${member.clusterId}`, JSON.stringify({ address: member.mesh }));
  }

  it('M22: a directory that was copied back is refused by its peer, and after renew gets what it took in after the copy', async () => {
    const [one, two] = [await scene.server(), await scene.server()];
    await introduce(one, one, two);
    await introduce(two, one, two);
    await one.set('before', '1');
    await until(async () => (await two.read('before')) === '1');
    await one.stop();
    const copy = join(scene.dir(), 'copy');
    cpSync(one.data, copy, { recursive: true });
    const again = await scene.server(one.data);
    await introduce(again, again);
    await again.set('after', '2');
    await until(async () => (await two.read('after')) === '2');
    await again.crash();

    const restored = await scene.server(copy);
    await introduce(restored, restored);
    await introduce(two, restored);
    await until(async () => (await faultOf(restored))?.startsWith('rollback_detected') === true);
    await until(async () => (await faultOf(two))?.startsWith('rollback_detected') === true);
    const typo = `${copy}-typo`;
    assert.match((await scene.run(['renew', '--data', typo])).stderr, /typo: there is no store to renew/);
    assert.equal(existsSync(typo), false);
    const refused = await scene.run(['renew', '--data', copy]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^gkvmesh: data_locked: /m);
    await restored.stop();

    const renewal = await scene.run(['renew', '--data', copy]);
    assert.equal(renewal.stdout.toString(), `cluster ${one.clusterId} is renewed: incarnation 2\n`, renewal.stderr);
    const renewed = await scene.server(copy);
    await introduce(renewed, renewed);
    await introduce(two, renewed);
    await until(async () => (await renewed.read('after')) === '2');
    await renewed.set('last', '3');
    await until(async () => (await two.read('last')) === '3');
    assert.equal(await faultOf(renewed), null);
  });

  it('takes the configuration of a granted region', async () => {
    const config = join(scene.dir(), 'eu.yaml');
    writeFileSync(config, `mesh: ./eu\ndata: ${join(scene.dir(), 'nothing')}\n`);
    const { code, stderr } = await scene.run(['renew', '--config', config]);
    assert.deepEqual([code, /--open/.test(stderr)], [2, false], stderr);
  });

  it('of an empty store is bad_config', async () => {
    const { code, stderr } = await scene.run(['renew', '--data', scene.dir()]);
    assert.equal(code, 2);
    assert.match(stderr, /bad_config: this store is empty/);
  });
});
