import type * as z from 'zod';
import { GkvError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { toLatin1 } from '../core/bytes.ts';
import { decodeBody } from '../core/write.ts';
import { shapeOf } from '../grant/signatureBlock.ts';
import { type Expected, type WriteOp } from '../replica/proposal.ts';
import { type SignedStatement } from '../replica/signed.ts';
import { checkJson, decodeBase64, decodeKey, decodeStamp, inField, parseBody, parseJson } from './parse.ts';
import { batchRequest, setRequest, signedRequest } from './schema.ts';

/** What a request wants written: by us, or as its caller has signed it. */
export type Writes =
  { readonly kind: 'ops'; readonly ops: readonly WriteOp[] } | { readonly kind: 'signed'; readonly statements: readonly SignedStatement[] };

type SetFields = z.output<typeof setRequest>;
type SignedFields = z.output<typeof signedRequest>;
type BatchOpFields = z.output<typeof batchRequest>['ops'][number];
type OwnOpFields = Exclude<BatchOpFields, { op: 'write' }>;

/** Of `/data/set`. It is a signed write where there is a field `write`. Errors: `malformed`, `unknown_field`, `too_large`. */
export function parseSet(body: Buffer): Writes {
  const json = parseJson(body);
  if (typeof json === 'object' && json !== null && Object.hasOwn(json, 'write'))
    return { kind: 'signed', statements: [toStatement(checkJson(signedRequest, json), '')] };
  return { kind: 'ops', ops: [toWriteOp(checkJson(setRequest, json))] };
}

/** Of `/data/batch`. All of it is signed, or nothing. Errors: as of `parseSet`. */
export function parseBatch(body: Buffer): Writes {
  const { ops } = parseBody(batchRequest, body);
  const signed = ops.flatMap((op, index) => (op.op === 'write' ? [toStatement(op, `ops[${index}].`)] : []));
  if (signed.length === 0) return { kind: 'ops', ops: toWriteOps(ops.filter((op) => op.op !== 'write')) };
  if (signed.length < ops.length)
    throw new GkvError('malformed', 'ops: of some the caller has signed the write, of others not; send them apart');
  refuseTwice(signed.map(({ body: { key } }) => toLatin1(key)));
  return { kind: 'signed', statements: signed };
}

/** Errors: `malformed` unless there is exactly one of value and delete. */
function toWriteOp(fields: SetFields): WriteOp {
  const key = decodeKey(fields.key, 'key');
  const expected = toExpected(fields.ifVersion, 'ifVersion');
  if (fields.delete !== undefined && fields.value !== undefined)
    throw new GkvError('malformed', 'value and delete: give one of them, not both');
  if (fields.value !== undefined)
    return { kind: 'set', key, value: decodeValue(fields.value, 'value'), expiresInMs: fields.ttlMs, expected };
  if (fields.delete === undefined) throw new GkvError('malformed', 'value: missing; give a value, or "delete": true');
  if (fields.ttlMs !== undefined) throw new GkvError('malformed', 'ttlMs: a delete does not expire', { details: { field: 'ttlMs' } });
  return { kind: 'delete', key, expected };
}

/** Errors: `malformed` for a key that is there twice, as for every field of every operation. */
function toWriteOps(ops: readonly OwnOpFields[]): WriteOp[] {
  refuseTwice(ops.map(({ key }) => key));
  return ops.map((op, index) => {
    const key = decodeKey(op.key, `ops[${index}].key`);
    const expected = toExpected(op.ifVersion, `ops[${index}].ifVersion`);
    if (op.op === 'delete') return { kind: 'delete', key, expected };
    return { kind: 'set', key, value: decodeValue(op.value, `ops[${index}].value`), expiresInMs: op.ttlMs, expected };
  });
}

function refuseTwice(keys: readonly string[]): void {
  const seen = new Map<string, number>();
  for (const [index, key] of keys.entries()) {
    const before = seen.get(key);
    if (before !== undefined)
      throw new GkvError('malformed', `ops[${index}].key: the same key as in ops[${before}]`, { details: { index } });
    seen.set(key, index);
  }
}

/** `path` comes before the names of its fields. */
function toStatement(fields: Omit<SignedFields, 'op'>, path: string): SignedStatement {
  const decoded = <T>(name: 'write' | 'signature', decode: (bytes: Buffer) => T): T => {
    const bytes = decodeBase64(fields[name], `${path}${name}`);
    try {
      return decode(bytes);
    } catch (error) {
      throw inField(error, `${path}${name}`);
    }
  };
  const body = decoded('write', decodeBody);
  const value = decodeValue(fields.value, `${path}value`);
  const signature = decoded('signature', (bytes) => {
    // Judged later; here it must be one.
    if (shapeOf(bytes) === undefined) throw new GkvError('malformed', 'no signature block: every write of a granted mesh has one');
    return bytes;
  });
  return { body, value, signature };
}

function decodeValue(text: string, field: string): Uint8Array {
  const value = decodeBase64(text, field);
  if (value.length <= limits.valueBytesMax) return value;
  throw new GkvError('too_large', `${field}: has ${value.length} bytes, at most ${limits.valueBytesMax} are allowed`, {
    details: { field },
  });
}

const expectAny: Expected = { kind: 'any' };
const expectAbsent: Expected = { kind: 'absent' };

function toExpected(ifVersion: string | null | undefined, field: string): Expected {
  if (ifVersion === undefined) return expectAny;
  if (ifVersion === null) return expectAbsent;
  return { kind: 'version', version: decodeStamp(ifVersion, field) };
}
