import assert from 'node:assert/strict';
import { createServer as createPlain } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, it } from 'mocha';
import { Client } from '../../src/client/client.ts';
import { pem, shows } from '../tls.ts';

const tls = { ca: pem('ca.pem') };
const withCert = { ...tls, cert: pem('client.pem'), key: pem('client.key') };

describe('client of an https URL', () => {
  const servers: (Server & { closeAllConnections(): void })[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  async function port(server: (typeof servers)[number]): Promise<number> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port; // it listens on TCP
  }
  const answer = (_request: unknown, response: { end(text: string): void }): void => {
    response.end('{"ready":true}');
  };

  it('checks the server’s certificate, and shows its own if it has one', async () => {
    const open = await port(createServer(shows('server'), answer));
    const closed = await port(createServer({ ...shows('server'), requestCert: true, rejectUnauthorized: true }, answer));
    for (const [url, options] of [
      [`https://localhost:${open}`, tls],
      [`https://127.0.0.1:${open}`, withCert],
      [`https://localhost:${closed}`, withCert],
    ] as const) {
      await using client = new Client(url, options);
      assert.equal(await client.text('/readyz'), '{"ready":true}');
    }
  });

  it('says what would be right when it does not fit', async () => {
    const good = await port(createServer(shows('server'), answer));
    const closed = await port(createServer({ ...shows('server'), requestCert: true, rejectUnauthorized: true }, answer));
    const elsewhere = await port(createServer(shows('elsewhere'), answer));
    const plain = await port(createPlain(answer));
    for (const [url, options, message] of [
      [`https://localhost:${good}`, {}, /we refuse its certificate: .*--ca/],
      [`https://localhost:${good}`, { ca: pem('other-ca.pem') }, /we refuse its certificate: /],
      [`https://localhost:${elsewhere}`, tls, /we refuse its certificate: .*not in the cert/],
      [`https://localhost:${closed}`, tls, /it may want a --cert of its client CA/],
      [`https://localhost:${plain}`, tls, /it does not speak TLS; use http:/],
      [`http://localhost:${good}`, {}, /if it speaks TLS, use https:/],
      ['https://localhost:1', tls, /ECONNREFUSED/],
    ] as const) {
      await using client = new Client(url, options);
      await assert.rejects(client.text('/readyz'), { code: 'unavailable', message });
    }
  });

  it('refuses what cannot be', () => {
    const { cert, key } = withCert;
    for (const [url, options, message] of [
      ['http://localhost', tls, /are of use with an https: URL alone/],
      ['https://localhost', { cert }, /one is of use with the other alone/],
      ['https://localhost', { key }, /one is of use with the other alone/],
      ['https://localhost', { ca: '' }, /--ca: holds no certificate in PEM/],
      ['https://localhost', { ca: key }, /--ca: holds no certificate in PEM/],
      ['https://localhost', { cert, key: pem('peer.key') }, /must be PEM, the key without a passphrase and that of the certificate: /],
      ['https://localhost', { cert, key: pem('locked.key') }, /must be PEM, the key without a passphrase/],
      ['https://localhost', { cert: 'x', key: 'x' }, /must be PEM/],
    ] as const) {
      assert.throws(() => new Client(url, options), { code: 'bad_config', message });
    }
  });
});
