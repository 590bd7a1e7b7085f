import { toHex } from '../core/bytes.ts';
import { checked, isAt, standing } from '../grant/authorise.ts';
import { isZero, type Grant } from '../grant/grant.ts';
import { shortId, type Known } from '../grant/known.ts';
import { namesOf } from '../grant/rights.ts';
import { timeText } from '../grant/timeText.ts';
import { refused } from './meshDirectory.ts';

/** A grant in one line: id, what it gives, to whom, until when, whether it stands. `nowMs`: ms since the epoch. */
export function grantLine(known: Known, grant: Grant, nowMs: number): string {
  const { audience, rights, expiresMs } = grant.body;
  const what = `${namesOf(rights).join(',')} on ${patternTexts(grant).join(' ')}`;
  return `${toHex(grant.id)}  ${what}  to ${shortId(audience)}  until ${timeText(expiresMs)}  ${stateOf(known, grant, nowMs)}`;
}

/** A grant in all that it says. `nowMs`: ms since the epoch. */
export function grantLines(known: Known, grant: Grant, nowMs: number): string[] {
  const { parent, rootVersion, issuer, audience, rights, depth, notBeforeMs, expiresMs } = grant.body;
  const rows = {
    id: toHex(grant.id),
    issuer: isZero(issuer) ? `the root, version ${rootVersion}` : `${toHex(issuer)} who holds ${toHex(parent)}`,
    holder: toHex(audience),
    rights: namesOf(rights).join(', '),
    depth: `${depth}`,
    patterns: patternTexts(grant).join('  '),
    from: timeText(notBeforeMs),
    until: timeText(expiresMs),
    state: stateOf(known, grant, nowMs),
  };
  return Object.entries(rows).map(([name, text]) => `${name.padEnd(10)}${text}`);
}

/** "stands", or why it does not now: what it wrote while it was good may stand all the same. */
function stateOf(known: Known, { id }: Grant, nowMs: number): string {
  const whole = standing(known, id);
  const answer = whole.kind === 'refused' ? whole : checked(whole.chain, [isAt(nowMs)]);
  if (answer.kind === 'allowed') return 'stands';
  const { code, message } = refused(answer.refusal);
  return `${code}: ${message}`;
}

function patternTexts({ body }: Grant): string[] {
  return body.patterns.map(({ bytes }) => JSON.stringify(Buffer.from(bytes).toString()).slice(1, -1));
}
