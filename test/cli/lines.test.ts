import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { argumentBytes, harmless, keyBytes, oneLine, shown } from '../../src/cli/io.ts';
import { linesIn } from '../../src/cli/lines.ts';
import { memberTable } from '../../src/cli/memberTable.ts';

async function collected(chunks: readonly string[], lineBytesMax = 100): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesIn(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), lineBytesMax)) lines.push(line);
  return lines;
}

describe('lines of a stream', () => {
  it('are the same however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '\n'), maxLength: 6 })), async (chunks) => {
        const expected = chunks.join('').split('\n');
        if (expected.at(-1) === '') expected.pop();
        const cut = [...Buffer.from(chunks.join(''))].map((byte) => Buffer.of(byte).toString('latin1'));
        assert.deepEqual(await collected(chunks), expected);
        const bytes: string[] = [];
        for await (const line of linesIn(Readable.from(cut.map((char) => Buffer.from(char, 'latin1'))), 100)) bytes.push(line);
        assert.deepEqual(bytes, expected);
      }),
    );
  });

  it('are refused when too long, with their number, before they end', async () => {
    assert.deepEqual(await collected(['abcd\nabcd'], 4), ['abcd', 'abcd']);
    await assert.rejects(collected(['abc\n', 'abc', 'de'], 4), { code: 'too_large', message: 'line 2 has more than 4 bytes' });
  });
});

describe('keys and values of the command line', () => {
  it('are text, base64, or files; @@ begins a text with @', () => {
    assert.equal(String(argumentBytes('é', {})), 'é');
    assert.equal(String(argumentBytes('@@x', {})), '@x');
    assert.deepEqual(argumentBytes('/w==', { base64: true }), Buffer.of(255));
    assert.throws(() => argumentBytes('/w', { base64: true }), { code: 'bad_config' });
    assert.throws(() => argumentBytes('@/nonexistent', {}), { code: 'bad_config', message: /nonexistent/ });
    assert.match(String(argumentBytes(`@${import.meta.filename}`, {})), /are text, base64, or files/);
  });

  it('a key is what it says, whatever it begins with', () => {
    assert.equal(String(keyBytes('@system/peers/x', {})), '@system/peers/x');
    assert.deepEqual(keyBytes('/w==', { base64: true }), Buffer.of(255));
  });

  it('are shown as text where they are printable, and as base64 otherwise', () => {
    assert.equal(shown(Buffer.from('é'), {}), 'é');
    assert.equal(shown(Buffer.from('é'), { base64: true }), 'w6k=');
    assert.equal(shown(Buffer.of(255), {}), 'base64:/w==');
    assert.equal(shown(Buffer.of(27), {}), 'base64:Gw==');
    assert.equal(shown(Buffer.from('\u009b'), {}), 'base64:wps=');
  });

  it('what others wrote gives a terminal no orders, and makes no lines', () => {
    const orders = '\u001b]0;owned\u0007\u009b2J\u061c\u2028\u202e\u007f';
    assert.equal(harmless(`a\t${orders}`), 'a\t\\u001b]0;owned\\u0007\\u009b2J\\u061c\\u2028\\u202e\\u007f');
    assert.deepEqual(JSON.parse(harmless(JSON.stringify({ name: orders }))), { name: orders });
    const clusterId = '6f1c1f2e-58d5-4d0e-9d7b-0f6f3a1e2b3c';
    const record = { clusterId, address: 'eu:1\nx', regionName: `eu\n${orders}` };
    const none = { connected: null, lagMs: null, low: null, scope: null, atEpoch: null, clockSkewMs: null, defects: null };
    const members = [{ ...record, ...none, self: false, lastError: `so\n${orders}` }];
    const lines = memberTable({ epoch: null, members, removed: [], joining: [record] }, 0);
    assert.equal(lines.length, 3);
    for (const line of lines) assert.equal(line, oneLine(line));
  });
});
