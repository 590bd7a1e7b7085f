/** The servers that are compared: gkvmesh as it is built, a bare koa + lmdb, and Debian's etcd with its JSON gateway. */
import { join } from 'node:path';
import { freePort, post, startRegion as start, type Region, type Service } from '../region.ts';
import { keyText, valueText } from './keys.ts';
import { type Load } from './wrk.ts';
import { type Workshop } from './workshop.ts';

const bareServer = new URL('bareServer.ts', import.meta.url);

export interface Contender {
  readonly name: 'gkvmesh' | 'bare koa + lmdb' | 'etcd';
  readonly url: string;
  readonly set: Load;
  readonly get: Load;
  readonly service: Service;
}

/** The built command on an empty directory and free ports. */
export function startRegion(workshop: Workshop, name: string): Promise<Region> {
  const data = workshop.directory(`region-${name}`);
  return start({ name, data, apiPort: 0, meshPort: 0 }, (program, args, ready) => workshop.service(program, args, ready));
}

export async function startGkvmesh(workshop: Workshop, keys: number): Promise<Contender> {
  const { api, service } = await startRegion(workshop, 'bench');
  await fill(api, keys);
  return { name: 'gkvmesh', url: api, service, ...jsonLoads(keys) };
}

export async function startBare(workshop: Workshop, keys: number): Promise<Contender> {
  const service = await workshop.script(bareServer, [workshop.directory('bare'), String(keys)], /^ready /);
  return { name: 'bare koa + lmdb', url: service.ready.slice('ready '.length), service, ...jsonLoads(keys) };
}

export async function startEtcd(workshop: Workshop, keys: number): Promise<Contender> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const listen = ['--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer];
  const cluster = ['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`];
  const log = ['--log-outputs', 'stdout', '--logger', 'zap'];
  const service = await workshop.service(
    'etcd',
    ['--data-dir', join(workshop.directory('etcd'), 'data'), ...listen, ...cluster, ...log],
    /serving client traffic|ready to serve client requests/,
  );
  await fillEtcd(url, keys);
  return {
    name: 'etcd',
    url,
    service,
    set: { kind: 'single', path: '/v3/kv/put', keys, before: '{"key":"', after: `","value":"${valueText}"}` },
    get: { kind: 'single', path: '/v3/kv/range', keys, before: '{"key":"', after: '"}' },
  };
}

export function jsonLoads(keys: number): { readonly set: Load; readonly get: Load } {
  return {
    set: { kind: 'single', path: '/data/set', keys, before: '{"key":"', after: `","value":"${valueText}"}` },
    get: { kind: 'single', path: '/data/get', keys, before: '{"key":"', after: '"}' },
  };
}

/** Sets the first `keys` keys in batches of 500, four at a time. */
export function fill(url: string, keys: number): Promise<void> {
  return inSteps(keys, 500, (indexes) =>
    post(`${url}/data/batch`, { ops: indexes.map((index) => ({ op: 'set', key: keyText(index), value: valueText })) }),
  );
}

/** etcd takes at most 128 operations in a transaction. */
function fillEtcd(url: string, keys: number): Promise<void> {
  return inSteps(keys, 100, (indexes) =>
    post(`${url}/v3/kv/txn`, { success: indexes.map((index) => ({ requestPut: { key: keyText(index), value: valueText } })) }),
  );
}

async function inSteps(keys: number, step: number, send: (indexes: readonly number[]) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < keys) {
      const from = next;
      next = Math.min(keys, next + step);
      await send(Array.from({ length: next - from }, (_, at) => from + at));
    }
  };
  await Promise.all([work(), work(), work(), work()]);
}
