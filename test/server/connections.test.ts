import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { listen, type Listener, type ListenTimes, type RequestHandler } from '../../src/server/listen.ts';
import { until } from '../support.ts';

const times: ListenTimes = { requestMsMax: 200, drainMsMax: 100, lastMs: 10, lingerMs: 50, stalledMsMax: 500 };
const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A connection that keeps its own half open, and what it has read. */
function open({ port }: Listener): { socket: Socket; text: () => string; isClosed: () => boolean } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let [text, closed] = ['', false];
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.once('close', () => (closed = true));
  return { socket, text: () => text, isClosed: () => closed };
}

const serve = (handler: RequestHandler): Promise<Listener> => listen(handler, { host: '127.0.0.1', port: 0 }, times);

describe('connections', () => {
  it('I9: H3: one that says nothing is told so, and is gone soon after, though it never closes', async () => {
    await using server = await serve(() => undefined);
    const { socket, text, isClosed } = open(server);
    await once(socket, 'end');
    assert.match(text(), /^HTTP\/1\.1 408 /);
    await until(() => {
      socket.write(' '); // nobody is there to take it
      return isClosed();
    });
  });

  it('I9: H3: one that was refused and goes on sending is gone soon after', async () => {
    await using server = await serve((_, response) => void response.writeHead(401, { Connection: 'close' }).end('no'));
    const { socket, isClosed } = open(server);
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n');
    await until(() => {
      socket.write('x');
      return isClosed();
    });
  });

  it('I9: H1: requests that come at once are handled one after the other, and not too many are kept', async () => {
    const handled: ServerResponse[] = [];
    await using server = await serve((_, response) => void handled.push(response));
    const { socket, text } = open(server);
    socket.write(get.repeat(3));
    for (let n = 1; n <= 3; n += 1) {
      await until(() => handled.length === n);
      await sleep(20);
      assert.equal(handled.length, n);
      handled[n - 1]?.end(`answer ${n}`);
    }
    await until(() => text().includes('answer 3'));
    socket.write(get.repeat(66));
    await once(socket, 'end');
    assert.equal(handled.length, 4);
    socket.destroy();
  });

  it('I9: H1: others have their turns between the requests that a connection sends ahead', async () => {
    const handled: string[] = [];
    await using server = await serve(({ url }, response) => {
      if (handled.push(url ?? '') === 1) other.socket.write(get.replace('/', '/other'));
      response.end('x');
    });
    const [ahead, other] = [open(server), open(server)];
    await once(other.socket, 'connect');
    ahead.socket.write(get.replace('/', '/ahead').repeat(64));
    await until(() => handled.length === 65);
    assert.ok(handled.indexOf('/other') < 16, `it came after ${handled.indexOf('/other')} of 64`);
    ahead.socket.destroy();
    other.socket.destroy();
  });

  it('I9: H4: an answer that nobody takes ends its connection; one that is slow to come does not', async () => {
    const closed: string[] = [];
    await using server = await serve(async ({ url }, response) => {
      response.once('close', () => closed.push(url ?? ''));
      if (url === '/slow') await sleep(2_000);
      response.end(url === '/slow' ? 'here' : Buffer.alloc(50_000_000));
    });
    const unread = open(server);
    unread.socket.pause();
    unread.socket.write(get.replace('/', '/large'));
    const more = setInterval(() => unread.socket.write('\r\n'), 100); // which says nothing of what it takes
    const slow = open(server);
    slow.socket.write(get.replace('/', '/slow'));
    await until(() => closed.includes('/large'));
    await until(() => slow.text().endsWith('here'));
    clearInterval(more);
    unread.socket.destroy();
  });

  it('I9: H4: a reader that is slow and steady gets all of it', async () => {
    const bytes = 30_000_000;
    await using server = await serve((_, response) => void response.end(Buffer.alloc(bytes)));
    const { socket, text } = open(server);
    socket.write(get);
    for (let read = 0; read < bytes; read = text().length) {
      socket.pause();
      await sleep(5);
      socket.resume();
      await once(socket, 'data');
    }
    socket.destroy();
  }).timeout(30_000);

  it('H1: what is wrong with the next request is not said within an answer', async () => {
    let end = (): void => undefined;
    await using server = await serve((_, response) => {
      response.write('begun, ');
      end = () => response.end('ended');
    });
    const { socket, text } = open(server);
    socket.write(get);
    await until(() => text().includes('begun, '));
    socket.write('no request\r\n\r\n');
    await once(socket, 'end');
    end();
    assert.doesNotMatch(text(), /HTTP\/1\.1 4/);
    socket.destroy();
  });

  it('H6: what comes on an idle connection soon after a server begins to stop is answered, and said to be the last there', async () => {
    const server = await listen(
      (_, response) => void response.end('x'),
      { host: '127.0.0.1', port: 0 },
      { requestMsMax: 20_000, drainMsMax: 20_000, lastMs: 20_000 },
    );
    const [idle, silent] = [open(server), open(server)];
    await once(silent.socket, 'connect');
    idle.socket.write(get);
    await until(() => idle.text().endsWith('x'));
    const stopped = server[Symbol.asyncDispose]();
    for (const { socket } of [idle, silent]) socket.write(get);
    await stopped; // as soon as all have had theirs
    for (const { text } of [idle, silent]) await until(() => /HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n[^]*x$/.test(text()));
  });

  it('H6: a connection on which nothing comes does not hold a stop up for long', async () => {
    const server = await serve(() => undefined);
    const { isClosed } = open(server);
    await server[Symbol.asyncDispose]();
    await until(isClosed);
  });

  it('H6: a server that stops begins nothing that was sent ahead', async () => {
    const handled: ServerResponse[] = [];
    const server = await serve((_, response) => void handled.push(response));
    const { socket } = open(server);
    socket.write(get.repeat(2));
    await until(() => handled.length === 1);
    handled[0]?.write('begun, ');
    const stopped = server[Symbol.asyncDispose]();
    handled[0]?.end('ended');
    await stopped;
    await sleep(50);
    assert.equal(handled.length, 1);
    socket.destroy();
  });
});
