import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type * as z from 'zod';
import { silentLog } from '../../src/core/ports.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { type LeaseRecord, readLease } from '../../src/replica/leaseRecord.ts';
import { parkWrites } from '../../src/replica/park.ts';
import { openInstance, type Instance } from '../../src/server/instance.ts';
import { statusAnswer } from '../../src/http/schema.ts';
import { listen } from '../../src/server/listen.ts';
import { type OpenStore } from '../../src/server/openStore.ts';
import { PortFiles } from '../../src/server/portFiles.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { b64, post, send } from '../http/harness.ts';
import { received } from '../replica/received.ts';
import { until } from '../support.ts';

const free = { host: '127.0.0.1', port: 0 };

interface Opened extends AsyncDisposable {
  readonly instance: Instance;
  readonly store: Store;
}

/** An instance as the server makes it, on a store in memory that others may share. */
async function openOn(database: MemoryDatabase, jobRank = 100, isLocked = (): boolean => false): Promise<Opened> {
  const store = openMemoryStore(database, { clock: realClock, random: realRandom });
  const health = { available: true, healthy: true, message: '' };
  const opened: OpenStore = {
    ...({
      kind: 'fdb',
      store,
      isShared: true,
      feedPartitions: 16,
      retries: () => 0,
      isFull: () => false,
      listen: () => undefined,
    } as const),
    available: () => !isLocked(),
    isLocked,
    health: () => Promise.resolve(health),
  };
  const files = await PortFiles.open({ tls: { api: undefined, mesh: undefined }, tokens: undefined }, realClock, silentLog);
  const instance = await openInstance(
    opened,
    {
      ...{ open: true, mesh: undefined, granted: undefined, store: { kind: 'lmdb', dir: '' }, listen: free, meshListen: free },
      ...{ region: 'here', meshId: undefined, meshKey: undefined, tls: { api: undefined, mesh: undefined }, insecurePlaintext: false },
      ...{
        hostNames: [],
        logLevel: 'error',
        advertise: undefined,
        join: undefined,
        dayMs: 86_400_000,
        drainMs: 0,
        jobRank,
        tokens: undefined,
      },
    },
    silentLog,
    files,
  );
  return {
    ...{ instance, store },
    [Symbol.asyncDispose]: async () => {
      instance.stopping.abort();
      instance.leaving.abort();
      await instance.close();
      await files[Symbol.asyncDispose]();
    },
  };
}

const leaseOf = ({ store }: Opened, name: string): Promise<LeaseRecord> => store.transact((tx) => readLease(tx, name));

describe('an instance of a server', () => {
  it('R16: runs the jobs that keep its data in order: a write that is due is taken in', async () => {
    await using here = await openOn(new MemoryDatabase());
    const digests = new MeshDigests({ ...openMesh, kind: 'open' });
    const due = makeStamp(realClock.now(), 0, parseInstance(new Uint8Array(8).fill(3)));
    await here.store.transact((tx) =>
      parkWrites(tx, [{ received: received(digests, 'parked', due, due, { value: 'v' }), peer: '09'.repeat(16) }]),
    );
    await using api = await listen(here.instance.apps.api, free);
    const isThere = async (): Promise<boolean> =>
      (await post(`http://${api.address}/data/get`, { key: b64('parked') })).json['exists'] === true;
    await until(isThere);
    for (const name of ['parked writes', 'tree levels', 'scrub', 'free slots'])
      await until(async () => (await leaseOf(here, `job/${name}`)).number > 0);
  });

  it('tells in its status and metrics of what it is made of', async () => {
    await using here = await openOn(new MemoryDatabase());
    await using api = await listen(here.instance.apps.api, free);
    const status = async (): Promise<z.infer<typeof statusAnswer>> =>
      statusAnswer.parse(JSON.parse((await send(`http://${api.address}/control/status`, 'GET')).text));
    const { store, slot } = await status();
    assert.deepEqual([store.scrub, store.fault], [null, null], 'none has ended yet');
    await until(async () => (await status()).leases.length > 4);
    const { leases } = await status();
    for (const name of [`slot/${slot}`, 'job/scrub', 'job/free slots']) assert.ok(leases.includes(name), leases.join());
    const metric = async (name: string): Promise<number> => {
      const { text } = await send(`http://${api.address}/metrics`, 'GET');
      return Number(new RegExp(`^gkvmesh_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
    };
    await until(async () => (await metric('low_age_seconds')) < 60);
    assert.deepEqual([await metric('floor_age_seconds'), await metric('scrub_damaged_keys')], [NaN, NaN], 'there is none yet');
  });

  it('F8: is not ready while its store is locked, and says so', async () => {
    let isLocked = false;
    await using here = await openOn(new MemoryDatabase(), 100, () => isLocked);
    await using api = await listen(here.instance.apps.api, free);
    const ready = (): ReturnType<typeof send> => send(`http://${api.address}/readyz`, 'GET');
    await until(async () => (await ready()).status === 200);
    isLocked = true;
    const { status, text } = await ready();
    assert.deepEqual([status, /this instance is not ready: its store is locked/.test(text)], [503, true]);
  });

  it('G33: takes the jobs of instances of a higher rank, which are those of the configuration', async () => {
    const database = new MemoryDatabase();
    await using first = await openOn(database, 9);
    await until(async () => (await leaseOf(first, 'job/scrub')).rank === 9);
    await using second = await openOn(database, 7);
    await until(async () => (await leaseOf(second, 'job/scrub')).rank === 7);
  });
});
