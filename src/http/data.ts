import { type z } from 'zod';
import { asBuffer } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { parseKey, type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { stampFromHex, stampToHex } from '../core/stamp.ts';
import { type Expected, type WriteOp, type WriteOutcome } from '../replica/proposal.ts';
import { parseBase64, parseBody, parseRange } from './parse.ts';
import { type DataStore } from './ports.ts';
import { batchRequest, getRequest, listRequest, setRequest } from './schemas.ts';

/** Each takes a request's body and gives what is answered, as JSON. */
export function dataRoutes(store: DataStore): Record<'get' | 'set' | 'list' | 'batch', (body: Buffer) => Promise<object>> {
  return {
    get: (body) => get(store, parseBody(getRequest, body)),
    set: (body) => set(store, parseBody(setRequest, body)),
    list: (body) => list(store, parseBody(listRequest, body)),
    batch: (body) => batch(store, parseBody(batchRequest, body)),
  };
}

async function get(store: DataStore, request: z.infer<typeof getRequest>): Promise<object> {
  const { value, exists, version } = await store.get(keyOf(request.key, 'key'));
  return { value: toBase64(value), exists, version: version === null ? null : stampToHex(version) };
}

async function set(store: DataStore, request: z.infer<typeof setRequest>): Promise<object> {
  if ((request.value === undefined) === (request.delete === undefined)) {
    throw new GkvError('malformed', 'exactly one of value and delete must be given');
  }
  const { key, value, ifVersion, ttlMs } = request;
  if (value === undefined && ttlMs !== undefined) throw new GkvError('malformed', 'ttlMs: a delete does not expire');
  const op = value === undefined ? deleteOp(key, ifVersion, '') : setOp(key, value, ttlMs, ifVersion, '');
  const [outcome] = await store.write([op]);
  if (outcome === undefined) throw new GkvError('internal', 'a write without an outcome');
  return outcomeJson(outcome);
}

async function list(store: DataStore, request: z.infer<typeof listRequest>): Promise<object> {
  const { entries, next } = await store.list({
    range: parseRange(request),
    limit: request.limit ?? limits.listLimitDefault,
    order: request.reverse === true ? 'reverse' : 'forward',
    values: request.keysOnly === true ? 'without' : 'with',
  });
  const rows = entries.map(({ key, value, version }) => ({ key: toBase64(key), value: toBase64(value), version: stampToHex(version) }));
  return { entries: rows, next: next === null ? null : toBase64(next) };
}

async function batch(store: DataStore, { ops }: z.infer<typeof batchRequest>): Promise<object> {
  const seen = new Set<string>();
  const parsed = ops.map((op, index) => {
    if (seen.has(op.key)) throw new GkvError('malformed', `ops.${index}.key: stands in the batch twice`);
    seen.add(op.key);
    const at = `ops.${index}.`;
    return op.op === 'set' ? setOp(op.key, op.value, op.ttlMs, op.ifVersion, at) : deleteOp(op.key, op.ifVersion, at);
  });
  const outcomes = await store.write(parsed);
  return { results: outcomes.map(outcomeJson) };
}

function setOp(key: string, value: string, ttlMs: number | undefined, ifVersion: string | null | undefined, at: string): WriteOp {
  const bytes = parseBase64(value, `${at}value`);
  if (bytes.length > limits.valueBytesMax) {
    throw new GkvError('too_large', `${at}value: has ${bytes.length} bytes, at most ${limits.valueBytesMax} are allowed`);
  }
  return { kind: 'set', key: keyOf(key, `${at}key`), value: bytes, expiresInMs: ttlMs, expected: expectedOf(ifVersion) };
}

function deleteOp(key: string, ifVersion: string | null | undefined, at: string): WriteOp {
  return { kind: 'delete', key: keyOf(key, `${at}key`), expected: expectedOf(ifVersion) };
}

function keyOf(text: string, field: string): Key {
  return parseKey(parseBase64(text, field));
}

function expectedOf(ifVersion: string | null | undefined): Expected {
  if (ifVersion === undefined) return { kind: 'any' };
  return ifVersion === null ? { kind: 'absent' } : { kind: 'version', version: stampFromHex(ifVersion) };
}

function outcomeJson({ version, accepted, applied }: WriteOutcome): { version: string; accepted: string; applied: boolean } {
  return { version: stampToHex(version), accepted: stampToHex(accepted), applied };
}

function toBase64(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64');
}
