import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, it } from 'mocha';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { errorAnswer } from '../../src/http/status.ts';
import { Transport } from '../../src/mesh/transport.ts';

describe('Transport', () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });

  /** The port of a peer that answers every request with these bytes, and then says nothing more. */
  async function peer(answer: string): Promise<number> {
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(answer));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  for (const [name, answer] of [
    ['never answers', ''],
    ['stops in the midst of its headers', 'HTTP/1.1 200 OK\r\nContent-'],
    ['stops in the midst of its body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
  ] as const) {
    it(`a peer that ${name} is peer_timeout`, async () => {
      await using transport = new Transport(100);
      const port = await peer(answer);
      const asking = transport.link({ host: '127.0.0.1', port }, 'exchange').ask(Buffer.from('frame'), new AbortController().signal);
      await assert.rejects(asking, (error) => hasCode(error, 'peer_timeout') && error.message.includes('100 ms'));
    });
  }

  it('a signal ends the wait at once', async () => {
    await using transport = new Transport();
    const port = await peer('');
    const stop = new AbortController();
    const asking = transport.link({ host: '127.0.0.1', port }, 'exchange').ask(Buffer.from('frame'), stop.signal);
    stop.abort();
    await assert.rejects(asking);
  });

  it("a peer's own error becomes ours: a mesh that does not fit is final, a full disk is its trouble, the rest is its protocol", async () => {
    await using transport = new Transport();
    for (const [status, code, ours] of [
      [409, 'mesh_mismatch', 'mesh_mismatch'],
      [502, 'wrong_peer', 'wrong_peer'],
      [507, 'disk_full', 'peer_unreachable'],
      [503, 'unavailable', 'peer_unreachable'],
      [400, 'malformed', 'peer_protocol'],
      [404, 'unknown_path', 'peer_protocol'],
      [409, 'must_bootstrap', 'must_bootstrap'],
    ] as const) {
      const { body } = errorAnswer(new GkvError(code, 'why', { details: { seal: '0a', other: 1 } }), 'request');
      const port = await peer(`HTTP/1.1 ${status} X\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      const asking = transport.link({ host: '127.0.0.1', port }, 'exchange').ask(Buffer.from('frame'), new AbortController().signal);
      await assert.rejects(asking, (error) => {
        assert.ok(hasCode(error, ours) && error.message.includes(`${status} ${code}: why`));
        assert.equal(/is this the mesh port/.test(error.message), code === 'unknown_path'); // the API's port was named
        assert.deepEqual(error.details, { seal: '0a' }); // M34
        return true;
      });
    }
  });
});
