import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { GkvError, type ErrorCode } from '../../src/core/errors.ts';
import { errorAnswer, statusOf } from '../../src/http/status.ts';

/** What ends a start, or a command, and is no answer. */
const neverAnswered: readonly string[] = ['data_locked'] satisfies ErrorCode[];
/** Where nothing but the request's line and headers was read yet (`src/server/listen.ts`). */
const beforeHandlers: readonly string[] = ['417 malformed', '431 too_large'];

const codes = Object.keys(statusOf) as ErrorCode[]; // a record of all of them

/** `STATUS CODE` for each code of README.md's table of errors. */
function told(): string[] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, rest = ''] = readme.split(/\n\| status +\| code +\|\n/);
  const [table = ''] = rest.split('\n\n');
  return table.split('\n').flatMap((row) => {
    const [, status = '', text = ''] = /^\| (\d+) +\| (.*) \|$/.exec(row) ?? [];
    return [...text.matchAll(/`([a-z_]+)`/g)].map(([, code = '']) => `${status} ${code}`);
  });
}

describe('the table of errors in README', () => {
  it('C12: H8: has every code that the API answers with, once, under its status, and no other', () => {
    const answered = codes.map((code) => errorAnswer(new GkvError(code, 'wrong'), 'r')).map(({ status, code }) => `${status} ${code}`);
    const met = [...new Set(answered)].filter((line) => !neverAnswered.includes(line.slice(4)));
    assert.deepEqual(told().sort(), [...met, ...beforeHandlers].sort());
  });
});
