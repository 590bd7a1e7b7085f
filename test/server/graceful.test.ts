import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { listen } from '../../src/server/listen.ts';
import { start, type RunningServer } from '../../src/server/start.ts';
import { b64, post, send } from '../http/harness.ts';
import { until } from '../support.ts';

describe('G29: a graceful stop', () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });

  function serve(region: string, drainMs = 0): Promise<RunningServer> {
    const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-graceful-'));
    dirs.push(dir);
    const free = { host: '127.0.0.1', port: 0 };
    return start(
      {
        ...{
          open: true,
          mesh: undefined,
          store: { kind: 'lmdb', dir },
          listen: free,
          meshListen: free,
          region,
          meshId: undefined,
          meshKey: undefined,
        },
        ...{ tls: { api: undefined, mesh: undefined }, insecurePlaintext: false, hostNames: [], logLevel: 'error' },
        ...{ advertise: undefined, join: undefined, dayMs: 86_400_000, drainMs, jobRank: 100, tokens: undefined },
      },
      () => undefined,
    );
  }

  const has = async ({ apiUrl }: RunningServer, key: string): Promise<boolean> =>
    (await post(`${apiUrl}/data/get`, { key: b64(key) })).json['exists'] === true;

  /** A write whose headers were taken, and whose body is not sent yet. */
  async function begun({ apiUrl }: RunningServer, key: string): Promise<() => Promise<number | undefined>> {
    const sent = request(`${apiUrl}/data/set`, { method: 'POST', headers: { expect: '100-continue' } });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
    });
    sent.flushHeaders();
    await once(sent, 'continue');
    return () => {
      sent.end(JSON.stringify({ key: b64(key), value: '' }));
      return answered;
    };
  }

  const isClosed = ({ apiUrl }: RunningServer): Promise<boolean> =>
    send(`${apiUrl}/livez`, 'GET').then(
      () => false,
      () => true,
    );

  /** Two members that are level. */
  async function two(): Promise<{ leaves: RunningServer; stays: RunningServer }> {
    const [leaves, stays] = await Promise.all([serve('leaves'), serve('stays')]);
    const member = (of: RunningServer): object => ({
      key: b64(`@system/peers/${of.clusterId}`),
      value: b64(JSON.stringify({ address: of.meshAddress })),
    });
    for (const on of [leaves, stays]) for (const of of [leaves, stays]) await post(`${on.apiUrl}/data/set`, member(of));
    await post(`${leaves.apiUrl}/data/set`, { key: b64('first'), value: '' });
    await until(() => has(stays, 'first'));
    return { leaves, stays };
  }

  it('under load: all that was acknowledged reaches the peers, and it is not there any more to be asked', async () => {
    const { leaves, stays } = await two();
    try {
      const acknowledged: string[] = [];
      const write = async (writer: number): Promise<void> => {
        for (let i = 0; ; i += 1) {
          const key = `${writer}/${i}`;
          const answer = await post(`${leaves.apiUrl}/data/set`, { key: b64(key), value: '' }).catch(() => undefined);
          if (answer?.status !== 200) return;
          acknowledged.push(key);
        }
      };
      const writers = Array.from({ length: 16 }, (_, i) => write(i));
      await until(() => Promise.resolve(acknowledged.length > 200));
      await leaves[Symbol.asyncDispose]();
      await Promise.all(writers);
      await until(async () => {
        const there = await Promise.all(acknowledged.map((key) => has(stays, key)));
        return there.every(Boolean);
      });
    } finally {
      await Promise.allSettled([leaves[Symbol.asyncDispose](), stays[Symbol.asyncDispose]()]);
    }
  });

  it('what was acknowledged last, while it stopped, reaches the peers', async () => {
    const { leaves, stays } = await two();
    try {
      const finish = await begun(leaves, 'last');
      const stopped = leaves[Symbol.asyncDispose]();
      await until(() => isClosed(leaves));
      assert.equal(await finish(), 200);
      await stopped;
      await until(() => has(stays, 'last'));
    } finally {
      await Promise.allSettled([leaves[Symbol.asyncDispose](), stays[Symbol.asyncDispose]()]);
    }
  });

  it('with a drain it goes on at first, and only its readiness says that it stops', async () => {
    const drainMs = 1_000; // a slow machine has to ask twice within it
    const server = await serve('drains', drainMs);
    await server.ready;
    const ready = async (): Promise<number> => (await send(`${server.apiUrl}/readyz`, 'GET')).status;
    assert.equal(await ready(), 200);
    const sinceMs = performance.now();
    const stopped = server[Symbol.asyncDispose]();
    assert.equal(await ready(), 503);
    assert.equal((await post(`${server.apiUrl}/data/set`, { key: b64('meanwhile'), value: '' })).status, 200);
    await stopped;
    assert(performance.now() - sinceMs >= drainMs - 1);
    assert(await isClosed(server));
  });

  it('an answer under way comes whole, however slowly it is read', async () => {
    const bytes = 16_000_000;
    const server = await listen((_request, response) => void response.end(Buffer.alloc(bytes)), { host: '127.0.0.1', port: 0 });
    const sent = request({ host: '127.0.0.1', port: server.port, agent: new Agent({ keepAlive: true }) });
    const [answer] = (await once(sent.end(), 'response')) as [IncomingMessage];
    const stopped = server[Symbol.asyncDispose]();
    await sleep(50); // for it to be cut
    let got = 0;
    for await (const chunk of answer) got += (chunk as Buffer).length;
    assert.equal(got, bytes);
    await stopped;
  });
});
