import { type z } from 'zod';
import { GkvError } from '../core/errors.ts';
import { prefixRange, type KeyRange } from '../core/key.ts';
import { limits } from '../core/limits.ts';

/** Error messages repeat at most this much of what was sent. */
const quoteMax = 60;

/** JSON of a request's body, checked against its schema. Errors: `malformed`, `unknown_field`, each with the field's name. */
export function parseBody<T>(schema: z.ZodType<T>, body: Buffer): T {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new GkvError('malformed', `body is not JSON: ${quote(body.toString('utf8'))}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? 'body' : issue.path.join('.');
  if (issue?.code === 'unrecognized_keys') {
    throw new GkvError('unknown_field', `${at}: unknown field ${issue.keys.map((key) => quote(key)).join(', ')}`);
  }
  throw new GkvError('malformed', `${at}: ${issue?.message ?? 'is not what it must be'}`);
}

/** Strict standard base64: padded, no white space, no bits beyond the last byte. Error: `malformed`. */
export function parseBase64(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new GkvError('malformed', `${field}: ${quote(text)} is not standard base64 with padding`);
  return bytes;
}

interface RangeFields {
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly prefix?: string | undefined;
}

/** Empty start: the first key; empty end: past the last. `prefix` excludes both. */
export function parseRange(fields: RangeFields): KeyRange {
  if (fields.prefix !== undefined) {
    if (fields.start !== undefined || fields.end !== undefined) throw new GkvError('malformed', 'prefix: cannot stand beside start or end');
    return prefixRange(edge(fields.prefix, 'prefix'));
  }
  const start = edge(fields.start ?? '', 'start');
  const end = edge(fields.end ?? '', 'end');
  if (end.length === 0) return { start, end: null };
  if (Buffer.compare(start, end) > 0) throw new GkvError('malformed', 'end: lies before start');
  return { start, end };
}

function edge(text: string, field: string): Buffer {
  const bytes = parseBase64(text, field);
  if (bytes.length > limits.keyBytesMax + 1) throw new GkvError('too_large', `${field}: has ${bytes.length} bytes, keys have at most ${limits.keyBytesMax}`);
  return bytes;
}

/** HOST:PORT, the host perhaps an IPv6 address in brackets. Error: `malformed`. */
export function parseHostPort(text: string, field: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) throw new GkvError('malformed', `${field}: ${quote(text)} is not HOST:PORT`);
  return { host, port };
}

function quote(text: string): string {
  return JSON.stringify(text.length > quoteMax ? `${text.slice(0, quoteMax)}...` : text);
}
