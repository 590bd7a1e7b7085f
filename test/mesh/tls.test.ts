import assert from 'node:assert/strict';
import { connect as connectPlain } from 'node:net';
import { connect } from 'node:tls';
import { describe, it } from 'mocha';
import { GkvError, type ErrorCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { createMeshApp } from '../../src/http/mesh.ts';
import { type PeerTls } from '../../src/mesh/connections.ts';
import { Transport } from '../../src/mesh/transport.ts';
import { listen, type Listener, type ListenTimes } from '../../src/server/listen.ts';
import { type ListenTls } from '../../src/server/listenTls.ts';
import { realClock } from '../../src/server/real.ts';
import { until } from '../support.ts';
import { shows } from '../tls.ts';

const { signal } = new AbortController();
const request = 'POST /exchange HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx';

/** A mesh port that answers with the frame; its TLS may be changed. */
class Mesh implements AsyncDisposable {
  readonly refused: (string | undefined)[] = [];
  /** Holds answers back until it resolves. */
  gate: Promise<void> = Promise.resolve();
  underWay = 0;
  #listener!: Listener;
  #options: ListenTls['options'];
  #onChange: () => void = () => undefined;

  private constructor(options: ListenTls['options']) {
    this.#options = options;
  }

  static async open(tls: PeerTls | 'plain', times: ListenTimes = { requestMsMax: 10_000, drainMsMax: 5_000 }): Promise<Mesh> {
    const mesh = new Mesh(tls === 'plain' ? {} : optionsOf(tls));
    const answer = async (frame: Uint8Array): Promise<Uint8Array> => {
      mesh.underWay += 1;
      await mesh.gate;
      return frame;
    };
    const rest = { clock: realClock, log: silentLog, requestIdPrefix: 'm', bodyArrivalMsMax: 5_000, signal };
    const app = createMeshApp({
      responder: { answer },
      feed: { answer },
      identity: { answer },
      hosts: { kind: 'loopback', names: [] },
      observe: () => undefined,
      ...rest,
    });
    mesh.#listener = await listen(app.callback(), { host: '127.0.0.1', port: 0 }, times, tls === 'plain' ? undefined : mesh.#tls());
    return mesh;
  }

  get port(): number {
    return Number(this.#listener.address.split(':')[1]);
  }

  renew(tls: PeerTls): void {
    this.#options = optionsOf(tls);
    this.#onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
  }

  #tls(): ListenTls {
    const options = (): ListenTls['options'] => this.#options;
    return {
      get options() {
        return options();
      },
      onChange: (listener) => {
        this.#onChange = listener;
      },
      refused: ({ code }) => {
        this.refused.push(code);
      },
    };
  }
}

function optionsOf({ cert, key, ca }: PeerTls): ListenTls['options'] {
  return { cert, key, ca: [...ca], requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' };
}

async function asks(transport: Transport, port: number, host = '127.0.0.1'): Promise<string> {
  return Buffer.from(await transport.link({ host, port }, 'exchange').ask(Buffer.from('frame'), signal)).toString();
}

/** The serial number of the certificate that a port shows. */
function serialOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ...shows('peer') }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('mutual TLS between regions', () => {
  it('G40: peers of one CA exchange frames, by address and by name', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    await using transport = new Transport(undefined, shows('peer2'));
    assert.deepEqual([await asks(transport, mesh.port), await asks(transport, mesh.port, 'localhost')], ['frame', 'frame']);
    assert.deepEqual(mesh.refused, []);
  });

  const refused: readonly [what: string, server: PeerTls | 'plain', client: PeerTls | 'plain', code: ErrorCode, message: RegExp][] = [
    ['a server of another CA', shows('other', 'ca'), shows('peer'), 'peer_unreachable', /certificate that we refuse: .*--mesh-tls-ca/],
    [
      'a server of another name',
      shows('elsewhere'),
      shows('peer'),
      'peer_unreachable',
      /certificate that we refuse: .*not in the cert's list/,
    ],
    ['a client of another CA', shows('peer'), shows('other', 'ca'), 'peer_unreachable', /if it refused our --mesh-tls-cert/],
    ['a client with a certificate for servers', shows('peer'), shows('server'), 'peer_unreachable', /if it refused our --mesh-tls-cert/],
    ['plain text to a TLS port', shows('peer'), 'plain', 'peer_unreachable', /if it speaks TLS, we need --mesh-tls-cert/],
    ['TLS to a plain port', 'plain', shows('peer'), 'peer_protocol', /does not speak TLS, and we do: it needs --mesh-tls-cert/],
  ];
  for (const [what, server, client, code, message] of refused) {
    it(`G40: ${what} is refused, and the error says what would be right`, async () => {
      await using mesh = await Mesh.open(server);
      await using transport = new Transport(undefined, client === 'plain' ? undefined : client);
      await assert.rejects(asks(transport, mesh.port), (error) => {
        assert.ok(error instanceof GkvError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(mesh.underWay, 0);
      if (/^a client|^plain/.test(what)) await until(() => mesh.refused.length > 0);
    });
  }

  it('G40: no certificate is refused, and so is TLS 1.2', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    for (const wrong of [{ ca: shows('peer').ca }, { ...shows('peer'), maxVersion: 'TLSv1.2' as const }]) {
      const answer = await new Promise<string>((resolve) => {
        let text = '';
        const socket = connect({ port: mesh.port, host: '127.0.0.1', ...wrong }, () => {
          socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        });
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('error', () => undefined);
        socket.on('close', () => {
          resolve(text);
        });
      });
      assert.equal(answer, '');
    }
    assert.equal(mesh.refused.length, 2);
  });

  it('a renewed certificate is for new connections', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    await using transport = new Transport(undefined, shows('peer'));
    await asks(transport, mesh.port);
    const before = await serialOf(mesh.port);
    mesh.renew(shows('peer2'));
    assert.notEqual(await serialOf(mesh.port), before);
    for (let i = 0; i < 3; i += 1) assert.equal(await asks(transport, mesh.port), 'frame');
  });

  it('connections from before the change end with the answer to their next request', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    let text = '';
    const socket = connect({ port: mesh.port, host: '127.0.0.1', ...shows('peer') });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise((resolve) => socket.once('end', resolve));
    for (const answers of [1, 2]) {
      socket.write(request);
      await until(() => text.split('HTTP/1.1 200 OK').length === answers + 1);
    }
    assert.doesNotMatch(text, /Connection: close/);
    mesh.renew(shows('peer2'));
    socket.write(request);
    await ended;
    assert.match(text, /HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 200 OK[^]*Connection: close/);
  });

  it('a CA that is replaced refuses who was let in before it, and a renewed peer is let in', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    mesh.renew(shows('peer2', 'other-ca'));
    await using transport = new Transport(undefined, shows('peer'));
    await assert.rejects(asks(transport, mesh.port), { code: 'peer_unreachable' });
    transport.renew(shows('other', 'ca'));
    assert.equal(await asks(transport, mesh.port), 'frame');
  });

  it('a transport that is renewed finishes what is under way on the old connection', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    await using transport = new Transport(undefined, shows('peer'));
    let open = (): void => undefined;
    mesh.gate = new Promise((resolve) => (open = resolve));
    const old = asks(transport, mesh.port);
    await until(() => mesh.underWay === 1);
    transport.renew(shows('other', 'ca'));
    await assert.rejects(asks(transport, mesh.port), { code: 'peer_unreachable' });
    open();
    assert.equal(await old, 'frame');
  });

  it('a transport that ends does not wait for what is under way, on old connections neither', async () => {
    await using mesh = await Mesh.open(shows('peer'), { requestMsMax: 10_000, drainMsMax: 50 });
    const transport = new Transport(undefined, shows('peer'));
    mesh.gate = new Promise(() => undefined);
    const old = assert.rejects(asks(transport, mesh.port));
    await until(() => mesh.underWay === 1);
    transport.renew(shows('peer2'));
    await transport[Symbol.asyncDispose]();
    await old;
  });
});

describe('HTTPS server that stops', () => {
  it('answers what is under way, and waits neither for idle connections nor for handshakes', async () => {
    const mesh = await Mesh.open(shows('peer'), { requestMsMax: 30_000, drainMsMax: 30_000 });
    await using idle = new Transport(undefined, shows('peer'));
    await using busy = new Transport(undefined, shows('peer'));
    await asks(idle, mesh.port);
    const silent = connectPlain(mesh.port, '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    const ended = new Promise((resolve) => silent.on('error', () => undefined).on('close', resolve));
    let open = (): void => undefined;
    mesh.gate = new Promise((resolve) => (open = resolve));
    const asking = asks(busy, mesh.port);
    await until(() => mesh.underWay === 2);
    const stopped = mesh[Symbol.asyncDispose]();
    await ended;
    open();
    assert.equal(await asking, 'frame');
    await stopped;
    await assert.rejects(asks(idle, mesh.port), { code: 'peer_unreachable' });
  });

  it('cuts off what takes longer than it may', async () => {
    const mesh = await Mesh.open(shows('peer'), { requestMsMax: 30_000, drainMsMax: 50 });
    await using transport = new Transport(undefined, shows('peer'));
    mesh.gate = new Promise(() => undefined);
    const asking = assert.rejects(asks(transport, mesh.port));
    await until(() => mesh.underWay === 1);
    await Promise.all([mesh[Symbol.asyncDispose](), asking]);
  });

  it('gives up on a handshake that does not come', async () => {
    await using mesh = await Mesh.open(shows('peer'), { requestMsMax: 100, drainMsMax: 5_000 });
    const silent = connectPlain(mesh.port, '127.0.0.1');
    silent.on('error', () => undefined);
    await new Promise((resolve) => silent.once('close', resolve));
    assert.deepEqual(mesh.refused, ['ERR_TLS_HANDSHAKE_TIMEOUT']);
  });

  it('a client that closes its half after the request is answered', async () => {
    await using mesh = await Mesh.open(shows('peer'));
    let text = '';
    const plain = connectPlain({ port: mesh.port, host: '127.0.0.1', allowHalfOpen: true });
    const socket = connect({ socket: plain, ...shows('peer') });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const done = new Promise((resolve) => socket.once('end', resolve));
    let open = (): void => undefined;
    mesh.gate = new Promise((resolve) => (open = resolve));
    socket.end(request);
    await until(() => mesh.underWay === 1);
    open();
    await done;
    assert.match(text, /^HTTP\/1\.1 200 OK/);
    socket.destroy();
  });
});
