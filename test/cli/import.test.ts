import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { GkvError } from '../../src/core/errors.ts';
import { until } from '../support.ts';
import { b64, startApi, type TestApi } from '../http/harness.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

/** Runs the command from its sources against an API of ours. */
function gkvmesh(
  args: readonly string[],
  input: string,
  api: TestApi,
  more = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { ...process.env, GKVMESH_URL: api.url, ...more };
  const child = spawn(process.execPath, ['--import=tsx', main, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined); // it may end without having read everything
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

const line = (key: string, value: string): string => `${JSON.stringify({ key: b64(key), value: b64(value) })}\n`;

describe('gkvmesh import and export', () => {
  it('several requests are under way, and yet the last line of a key wins', async () => {
    await using api = await startApi();
    const write = api.store.write.bind(api.store);
    let begun = 0;
    let done = 0;
    api.store.write = async (ops) => {
      begun += 1;
      if (begun === 1) await until(() => done > 0); // a slow commit, which others overtake
      const outcomes = await write(ops);
      done += 1;
      return outcomes;
    };
    const lines = (name: string, value: string): string[] => Array.from({ length: 500 }, (_, i) => line(`${name}${i}`, value));
    const { code, stderr } = await gkvmesh(
      ['import', '-'],
      [lines('k', 'old'), lines('other', 'new'), lines('k', 'new')].flat().join(''),
      api,
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(new Set([...api.store.held.values()].map(({ value }) => String(value))), new Set(['new']));
    assert.deepEqual([api.store.held.size, done], [1_000, 3]);
  });

  it('names the line that is wrong or too long, on one line of standard error', async () => {
    await using api = await startApi();
    const cases: readonly [text: string, message: RegExp][] = [
      [`${line('a', '1')}nonsense\n`, /^gkvmesh: malformed: line 2 is not JSON: nothing was imported\n$/],
      [`${line('a', '1')}\n{"key":"aGk"}\n`, /^gkvmesh: malformed: line 3 is not \{"key":base64,"value":base64\}: nothing was imported\n$/],
      [`"${'x'.repeat(2_000_000)}`, /^gkvmesh: too_large: line 1 has more than 1500000 bytes: nothing was imported\n$/],
    ];
    for (const [text, message] of cases) {
      const { code, stderr } = await gkvmesh(['import', '-'], text, api);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
  });

  it('does not say that nothing was imported where it may have been', async () => {
    await using api = await startApi();
    api.store.write = () => Promise.reject(new GkvError('unavailable', 'it may be there', { details: { outcome: 'unknown' } }));
    const { code, stderr } = await gkvmesh(['import', '-'], line('a', '1'), api);
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: unavailable: .*it may be there: no line is known to be imported\n$/);
  });

  it('export writes what import reads', async () => {
    await using api = await startApi();
    const lines = Array.from({ length: 1_500 }, (_, i) => line(`k${String(i).padStart(4, '0')}`, '\u0000ÿ'));
    assert.equal((await gkvmesh(['import', '-'], lines.join(''), api)).code, 0);
    assert.equal((await gkvmesh(['export'], '', api)).stdout, lines.join(''));
  });

  it('a prefix, or a value behind @@, that is no UTF-8 is refused: Node gives U+FFFD for each such byte', async () => {
    await using api = await startApi();
    for (const args of [
      ['export', '--prefix', '\ufffd'],
      ['pull', 'localhost:1', '--prefix', '\ufffd'],
      ['set', 'k', '@@\ufffd'],
    ]) {
      const { code, stderr } = await gkvmesh(args, '', api);
      assert.deepEqual([code, /holds what is no UTF-8/.test(stderr)], [2, true], args.join(' '));
    }
    assert.equal(api.store.held.size, 0);
  });

  it('G36: a variable that is set and empty is refused by its name, as is an empty flag: it is no file, nor is it none', async () => {
    await using api = await startApi();
    for (const variable of ['GKVMESH_URL', 'GKVMESH_CA', 'GKVMESH_CERT', 'GKVMESH_KEY', 'GKVMESH_TOKEN_FILE', 'GKVMESH_MESH']) {
      const { code, stderr } = await gkvmesh(['grant', 'fetch'], '', api, { [variable]: '' });
      assert.deepEqual([code, stderr.startsWith('gkvmesh: bad_config: ') && stderr.includes(variable)], [2, true], stderr);
    }
    const { code, stderr } = await gkvmesh(['get', 'k', '--cert', ''], '', api);
    assert.deepEqual([code, /^gkvmesh: bad_config: .*--cert/.test(stderr)], [2, true]);
  });

  it('a wrong flag is one line with bad_config, and exit 2', async () => {
    await using api = await startApi();
    const { code, stderr } = await gkvmesh(['list', '--nonsense'], '', api);
    assert.deepEqual([code, stderr], [2, "gkvmesh: bad_config: unknown option '--nonsense'\n"]);
  });
});
