import assert from 'node:assert/strict';
import { describe } from 'mocha';
import { GkvError } from '../../src/core/errors.ts';
import { type PullRequest } from '../../src/http/ports.ts';
import { request } from 'undici';
import { b64, codeOf, post, report, send, startApi } from './harness.ts';
import { until } from '../support.ts';

const accept = { accept: 'application/x-ndjson' };

describe('/control/aae/pull', () => {
  it('hands the request over and answers with the report', async () => {
    const asked: PullRequest[] = [];
    await using api = await startApi({ puller: { pull: (wanted) => (asked.push(wanted), Promise.resolve(report)) } });
    const { status, json } = await post(`${api.url}/control/aae/pull`, { peer: '[::1]:6200', prefix: b64('a'), direction: 'pull' });
    assert.equal(status, 200);
    assert.deepEqual(json, { ...report });
    assert.deepEqual(
      asked.map(({ host, port, direction, range }) => [host, port, direction, String(range.start), String(range.end)]),
      [['::1', 6_200, 'pull', 'a', 'b']],
    );
  });

  it('sends progress as lines of JSON, the report last', async () => {
    const pull = ({ onProgress }: PullRequest) => {
      onProgress({ ...report, received: 1 });
      onProgress({ ...report, received: 2 });
      return Promise.resolve(report);
    };
    await using api = await startApi({ puller: { pull } });
    const { status, text, headers } = await send(`${api.url}/control/aae/pull`, 'POST', '{"peer":"localhost:1"}', accept);
    assert.equal(status, 200);
    assert.match(String(headers['content-type']), /^application\/x-ndjson/);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(lines, [{ progress: { ...report, received: 1 } }, { progress: { ...report, received: 2 } }, { report }]);
  });

  it('a failure before any progress has its own status', async () => {
    const failing = (code: 'peer_unreachable' | 'peer_timeout' | 'mesh_mismatch') => ({
      pull: () => Promise.reject(new GkvError(code, 'no')),
    });
    for (const [code, status] of [
      ['peer_unreachable', 502],
      ['peer_timeout', 504],
      ['mesh_mismatch', 409],
    ] as const) {
      await using api = await startApi({ puller: failing(code) });
      for (const headers of [{}, accept]) {
        const answer = await post(`${api.url}/control/aae/pull`, { peer: 'localhost:1' }, headers);
        assert.deepEqual([answer.status, codeOf(answer.json)], [status, code]);
      }
    }
  });

  it('a failure after progress is the last line', async () => {
    const pull = async ({ onProgress }: PullRequest) => {
      onProgress(report);
      await Promise.resolve();
      throw new GkvError('peer_protocol', 'nonsense');
    };
    await using api = await startApi({ puller: { pull } });
    const { text } = await send(`${api.url}/control/aae/pull`, 'POST', '{"peer":"localhost:1"}', accept);
    assert.equal(codeOf(JSON.parse(text.trimEnd().split('\n')[1] ?? '') as Record<string, unknown>), 'peer_protocol');
  });

  it('I9: H15: so many run at a time, with progress or without; one that ends makes room, however it ends', async () => {
    const ends: ((error?: GkvError) => void)[] = [];
    const pull = () =>
      new Promise<typeof report>((resolve, reject) => {
        ends.push((error) => {
          if (error === undefined) resolve(report);
          else reject(error);
        });
      });
    await using api = await startApi({ puller: { pull } });
    const ask = (n: number): ReturnType<typeof post> =>
      post(`${api.url}/control/aae/pull`, { peer: 'localhost:1' }, n % 2 === 0 ? accept : {});
    const under = Array.from({ length: 16 }, (_, n) => ask(n).catch(() => undefined));
    await until(() => ends.length === 16);
    const { status, json, headers } = await ask(1);
    assert.deepEqual([status, codeOf(json), headers['retry-after']], [503, 'unavailable', '1']);
    assert.equal((await post(`${api.url}/control/aae/pull`, { peer: 'no port' })).status, 400);
    ends[0]?.();
    ends[1]?.(new GkvError('peer_timeout', 'no'));
    await Promise.all(under.slice(0, 2));
    under.push(ask(1), ask(1));
    await until(() => ends.length === 18);
    assert.equal((await ask(1)).status, 503);
    for (const end of ends) end();
    await Promise.all(under);
  });

  it('of a client that goes away is no warning', async () => {
    const signals: AbortSignal[] = [];
    const pull = ({ signal }: PullRequest) => {
      signals.push(signal);
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    };
    await using api = await startApi({ puller: { pull } });
    const client = new AbortController();
    const { signal } = client;
    const asked = request(`${api.url}/control/aae/pull`, { method: 'POST', body: '{"peer":"localhost:1"}', signal });
    const left = assert.rejects(asked);
    await until(() => signals.length === 1);
    client.abort();
    await left;
    const told = (): string[] => api.lines.filter(({ fields }) => 'reason' in fields).map(({ level }) => level);
    await until(() => told().length > 0);
    assert.deepEqual(told(), ['debug']);
  });

  it('ends when the client goes away, and when the server stops', async () => {
    const signals: AbortSignal[] = [];
    const pull = ({ signal, onProgress }: PullRequest) => {
      signals.push(signal);
      onProgress(report);
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(new GkvError('unavailable', 'stopped'));
        });
      });
    };
    const stopping = new AbortController();
    await using api = await startApi({ puller: { pull }, signal: stopping.signal });
    const first = await request(`${api.url}/control/aae/pull`, { method: 'POST', body: '{"peer":"localhost:1"}', headers: accept });
    first.body.on('error', () => undefined);
    first.body.destroy();
    await until(() => signals[0]?.aborted === true);
    const second = await request(`${api.url}/control/aae/pull`, { method: 'POST', body: '{"peer":"localhost:1"}', headers: accept });
    stopping.abort();
    assert.match(await second.body.text(), /"unavailable"/);
    assert.equal(
      api.lines.some(({ level }) => level === 'error'),
      false,
    );
  });
});
