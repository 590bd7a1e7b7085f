import assert from 'node:assert/strict';
import { describe } from 'mocha';
import { Gate, type HostRule } from '../../src/http/gate.ts';
import { codeOf, post, startApi } from './harness.ts';

const loopback: HostRule = { kind: 'loopback', names: ['gkv.internal'] };
const anyIp: HostRule = { kind: 'any-ip', names: ['eu'] };

function admits(rule: HostRule, headers: Record<string, string>): boolean {
  try {
    new Gate(rule).check(headers);
    return true;
  } catch (error) {
    assert.equal((error as { code: string }).code, 'origin_denied');
    return false;
  }
}

describe('gate against web pages', () => {
  const hosts: readonly [host: string, onLoopback: boolean, beyond: boolean][] = [
    ['localhost', true, true],
    ['localhost:6300', true, true],
    ['LOCALHOST:1', true, true],
    ['127.0.0.1:6300', true, true],
    ['127.9.8.7', true, true],
    ['[::1]:6300', true, true],
    ['gkv.internal:80', true, false],
    ['eu:6300', false, true],
    ['10.0.0.1:6300', false, true],
    ['[fe80::1]:6300', false, true],
    ['example.org', false, false],
    ['localhost.example.org', false, false],
    ['127.0.0.1.example.org', false, false],
    ['127.0.0.1@example.org', false, false],
    ['localhost:6300:1', false, false],
    ['127.0.0.256', false, false],
    ['', false, false],
  ];
  for (const [host, onLoopback, beyond] of hosts) {
    it(`H9: Host ${JSON.stringify(host)}: loopback ${onLoopback ? 'takes' : 'denies'} it, beyond ${beyond ? 'takes' : 'denies'} it`, () => {
      assert.equal(admits(loopback, { host }), onLoopback);
      assert.equal(admits(anyIp, { host }), beyond);
    });
  }

  it('H9: Origin must be this server itself', () => {
    const host = 'localhost:6300';
    assert.equal(admits(loopback, { host, origin: 'http://localhost:6300' }), true);
    for (const origin of ['http://example.org', 'http://localhost:8080', 'http://127.0.0.1:6300', 'null', '', 'file://']) {
      assert.equal(admits(loopback, { host, origin }), false, origin);
    }
  });

  it('H9: Sec-Fetch-Site must not be another site', () => {
    assert.equal(admits(loopback, { host: 'localhost', 'sec-fetch-site': 'none' }), true);
    assert.equal(admits(loopback, { host: 'localhost', 'sec-fetch-site': 'cross-site' }), false);
    assert.equal(admits(loopback, { host: 'localhost', 'sec-fetch-site': 'same-site' }), false);
  });

  it('I9: H9: remembers no more hosts than it may', () => {
    const gate = new Gate(anyIp);
    for (let i = 0; i < 1_000; i += 1) gate.check({ host: `10.0.${i >> 8}.${i & 255}` });
  });

  it('H9: the API answers 403 origin_denied, on every path, and does nothing', async () => {
    await using api = await startApi();
    for (const headers of [{ host: 'example.org' }, { origin: 'http://example.org' }, { 'sec-fetch-site': 'cross-site' }]) {
      const { status, json } = await post(`${api.url}/data/set`, { key: 'aGk=', value: '' }, headers);
      assert.deepEqual([status, codeOf(json)], [403, 'origin_denied']);
    }
    assert.equal(api.store.writes, 0);
  });
});
