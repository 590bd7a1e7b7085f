import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { makeToken, parseTokens, tokenLine, tokenRights, TokenTable } from '../../src/grant/token.ts';
import { seededRandom } from '../support.ts';

const fields = { name: 'an app', rights: new Set(['read', 'write'] as const), patterns: [Pattern.parse(Buffer.from('/cities/FR/**'))] };

function isBad(error: unknown): boolean {
  return hasCode(error, 'bad_config');
}

describe('bearer tokens', () => {
  it('T30, Li27: a token is found by its text, and its secret is not in the file', () => {
    const { token, text } = makeToken(fields, seededRandom(1));
    assert.match(text, /^gkv_[0-9a-f]{16}_[\w-]{43}$/);
    const line = tokenLine(token);
    assert.ok(!line.includes(text.slice(-43)));
    const [read] = parseTokens(Buffer.from(`\n${line}\n\n`));
    assert.deepEqual(read, token);
    const table = new TokenTable([token]);
    assert.equal(table.find(text)?.id, token.id);
    assert.equal(table.size, 1);
  });

  it('T30: any other text is none’s, whatever it has in common', () => {
    const { token, text } = makeToken(fields, seededRandom(1));
    const { text: other } = makeToken(fields, seededRandom(2));
    const table = new TokenTable([token]);
    const changes = Array.from(text, (letter, at) => text.slice(0, at) + (letter === 'A' ? 'B' : 'A') + text.slice(at + 1));
    // The last letter of 43 stands for 4 bits alone: three others are of the same bits, and none of them is right.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const lasts = Array.from(letters, (letter) => text.slice(0, -1) + letter).filter((each) => each !== text);
    const secretOf = (one: string): string => Buffer.from(one.slice(-43), 'base64url').toString('hex');
    assert.equal(lasts.filter((each) => secretOf(each) === secretOf(text)).length, 3);
    for (const changed of [...changes, ...lasts]) assert.equal(table.find(changed), undefined, changed);
    for (const none of ['', text.slice(0, -1), `${text}A`, ` ${text}`, `${text}\n`, `${text.slice(0, 21)}${other.slice(21)}`, other]) {
      assert.equal(table.find(none), undefined);
    }
    assert.equal(new TokenTable([]).find(`gkv_${'0'.repeat(16)}_${'A'.repeat(43)}`), undefined);
  });

  it('T30: a line that is not exactly one token is refused by its number', () => {
    const { token } = makeToken(fields, seededRandom(1));
    const good = JSON.parse(tokenLine(token)) as Record<string, unknown>;
    const wrong: object[] = [
      { ...good, id: 'ABCDEF0123456789' },
      { ...good, id: '12' },
      { ...good, sha256: 'zz' },
      { ...good, name: 'a\u0000' },
      { ...good, name: 'x'.repeat(65) },
      { ...good, rights: [] },
      { ...good, rights: ['root'] },
      { ...good, patterns: [] },
      { ...good, patterns: ['/a**'] },
      { ...good, patterns: [''] },
      { ...good, patterns: Array.from({ length: 9 }, (_, i) => `/${i}`) },
      { ...good, more: true },
    ];
    for (const each of wrong) {
      assert.throws(
        () => parseTokens(Buffer.from(`${tokenLine(token)}\n${JSON.stringify(each)}\n`)),
        (error) => isBad(error) && (error as Error).message.startsWith('line 2 '),
        JSON.stringify(each),
      );
    }
    assert.throws(() => parseTokens(Buffer.from(`${tokenLine(token)}\n${tokenLine(token)}`)), isBad);
    assert.throws(() => makeToken({ ...fields, patterns: [] }, seededRandom(1)), isBad);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          assert.deepEqual(parseTokens(Buffer.from(text)), []);
          assert.equal(text.trim(), '');
        } catch (error) {
          assert.ok(isBad(error));
        }
      }),
    );
  });

  it('T30: bytes that are no UTF-8 are refused, by their line, and not read as U+FFFD', () => {
    const { token } = makeToken({ ...fields, patterns: [Pattern.parse(Buffer.from('/caf?'))] }, seededRandom(1));
    const line = tokenLine(token);
    const latin = Buffer.from(`${line}\n${line.replace('?', 'é')}\n`, 'latin1');
    assert.throws(
      () => parseTokens(latin),
      (error) => isBad(error) && (error as Error).message === 'line 2 is no token: it is no UTF-8',
    );
    assert.equal(parseTokens(Buffer.from(line.replace('?', 'é'))).length, 1);
  });

  it('T30: control alone needs no pattern', () => {
    const { token } = makeToken({ name: '', rights: new Set(['control'] as const), patterns: [] }, seededRandom(1));
    assert.deepEqual(parseTokens(Buffer.from(tokenLine(token))), [token]);
    assert.deepEqual([...tokenRights], ['read', 'write', 'delete', 'control']);
  });
});
