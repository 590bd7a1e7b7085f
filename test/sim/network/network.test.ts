import assert from 'node:assert/strict';
import { GkvError, hasCode } from '../../../src/core/errors.ts';
import { Counts } from '../kernel/counts.ts';
import { Kernel } from '../kernel/kernel.ts';
import { Life } from '../kernel/life.ts';
import { type LinkState } from './link.ts';
import { Network, type Handler } from './network.ts';

const never = new AbortController().signal;

interface Setting {
  readonly kernel: Kernel;
  readonly counts: Counts;
  readonly there: LinkState;
  readonly back: LinkState;
  readonly server: Life;
  readonly requests: string[];
  readonly ask: (text: string, signal?: AbortSignal) => Promise<string>;
}

/** One caller in region 0, and one that echoes in region 1. */
async function withEcho(test: (setting: Setting) => Promise<void>, echo?: Handler): Promise<void> {
  const kernel = new Kernel(1);
  const counts = new Counts();
  const network = new Network(kernel, counts);
  const [client, server] = [new Life(kernel, 'client'), new Life(kernel, 'server')];
  const requests: string[] = [];
  const handler: Handler = (path, frame, signal) => {
    requests.push(Buffer.from(frame).toString());
    return echo?.(path, frame, signal) ?? Promise.resolve(frame);
  };
  network.listen('server', { life: server, region: 1, handler });
  const link = network.linkTo({ life: client, region: 0 }, 'server', '/echo');
  const ask = async (text: string, signal = never): Promise<string> => Buffer.from(await link.ask(Buffer.from(text), signal)).toString();
  await kernel.run(() => test({ kernel, counts, there: network.link(0, 1), back: network.link(1, 0), server, requests, ask }));
}

describe('simulation: network', () => {
  it('carries a request there and its answer back, later', async () => {
    await withEcho(async ({ ask, kernel, there, back }) => {
      assert.equal(await ask('hello'), 'hello');
      assert.ok(kernel.nowMs > there.leastMs + back.leastMs);
    });
  });

  it('what is lost on either way is a time-out', async () => {
    await withEcho(async ({ ask, kernel, there, back, requests, counts }) => {
      there.loss = 1;
      await assert.rejects(ask('there'), (error) => hasCode(error, 'peer_timeout'));
      assert.equal(kernel.nowMs, 20_000);
      assert.deepEqual(requests, []);
      there.loss = 0;
      back.loss = 1;
      await assert.rejects(ask('back'), (error) => hasCode(error, 'peer_timeout'));
      assert.deepEqual(requests, ['back']);
      assert.deepEqual([counts.of('network: request lost'), counts.of('network: answer lost')], [1, 1]);
    });
  });

  it('a cut in one direction lets requests through whose answers it stops', async () => {
    await withEcho(async ({ ask, there, back, requests }) => {
      back.cut = true;
      await assert.rejects(ask('one'), (error) => hasCode(error, 'peer_timeout'));
      assert.deepEqual(requests, ['one']);
      there.cut = true;
      await assert.rejects(ask('two'), (error) => hasCode(error, 'peer_timeout', 'peer_unreachable'));
      assert.deepEqual(requests, ['one']);
    });
  });

  it('delivers a request twice, and its answer once', async () => {
    await withEcho(async ({ ask, kernel, there, requests }) => {
      there.duplication = 1;
      assert.equal(await ask('twice'), 'twice');
      await kernel.sleep(5_000, '');
      assert.deepEqual(requests, ['twice', 'twice']);
    });
  });

  it('a clog delays by seconds', async () => {
    await withEcho(async ({ ask, kernel, there }) => {
      there.clogMs = 7_000;
      await ask('slow');
      assert.ok(kernel.nowMs > 7_000);
    });
  });

  it('a peer that has ended is unreachable, one that ends over a request never answers', async () => {
    await withEcho(
      async ({ ask, kernel, server }) => {
        const asked = ask('first');
        kernel.after(500, '', () => {
          server.end();
        });
        await assert.rejects(asked, (error) => hasCode(error, 'peer_timeout'));
        await assert.rejects(ask('second'), (error) => hasCode(error, 'peer_unreachable'));
      },
      () => new Promise(() => undefined),
    );
  });

  it('errors of the peer come as the real transport tells them', async () => {
    const codes = { mesh_mismatch: 'mesh_mismatch', disk_full: 'peer_unreachable', malformed: 'peer_protocol' } as const;
    for (const [theirs, ours] of Object.entries(codes)) {
      const code = theirs === 'malformed' ? 'malformed' : theirs === 'disk_full' ? 'disk_full' : 'mesh_mismatch';
      await withEcho(
        async ({ ask }) => {
          await assert.rejects(ask(theirs), (error) => hasCode(error, ours));
        },
        () => Promise.reject(new GkvError(code, 'by the test')),
      );
    }
  });

  it('who aborts is rejected at once, and the peer hears of it', async () => {
    const heard: number[] = [];
    await withEcho(
      async ({ ask, kernel }) => {
        const leaving = new AbortController();
        kernel.after(300, '', () => {
          leaving.abort();
        });
        await assert.rejects(ask('long poll', leaving.signal), { name: 'AbortError' });
        assert.equal(kernel.nowMs, 300);
        await kernel.sleep(100, '');
        assert.equal(heard.length, 1);
      },
      (_path, _frame, signal) =>
        new Promise(() => {
          signal.addEventListener('abort', () => heard.push(1));
        }),
    );
  });
});
