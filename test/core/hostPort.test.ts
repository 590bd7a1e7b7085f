import assert from 'node:assert/strict';
import { hostPortText, parseHostPort } from '../../src/core/hostPort.ts';

describe('HOST:PORT', () => {
  it('may be a name, an IPv4 address, or an IPv6 address in brackets, and a port of 0 to 65,535', () => {
    assert.deepEqual(parseHostPort('eu-1.example.org:6200'), { host: 'eu-1.example.org', port: 6_200 });
    assert.deepEqual(parseHostPort('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
    assert.deepEqual(parseHostPort('[::ffff:10.0.0.1]:65535'), { host: '::ffff:10.0.0.1', port: 65_535 });
  });

  it('is written as it is read', () => {
    for (const text of ['eu:6200', '127.0.0.1:0', '[::1]:65535']) {
      const parsed = parseHostPort(text);
      assert.equal(parsed === undefined ? undefined : hostPortText(parsed), text);
    }
  });

  it('is nothing else', () => {
    const wrong = [
      '',
      ':1',
      'a',
      'a:',
      'a:65536',
      'a:100000',
      'a:-1',
      'a:1x',
      '::1:1',
      '[::1]',
      '[a]:1g',
      '[]:1',
      'a b:1',
      'a/b:1',
      'a:1\n',
      'http://a:1',
    ];
    for (const text of wrong) assert.equal(parseHostPort(text), undefined, JSON.stringify(text));
  });
});
