import type * as z from 'zod';
import { decodeHeader } from '../backup/content.ts';
import { digestBytes } from '../backup/record.ts';
import { type BackupResume } from '../backup/source.ts';
import { GkvError } from '../core/errors.ts';
import { hostPortIs, parseHostPort, type HostPort } from '../core/hostPort.ts';
import { parseKey, prefixRange, type Key, type KeyRange } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { stampFromHex, type Stamp } from '../core/stamp.ts';
import { KeyFilter } from '../grant/keyFilter.ts';
import { Pattern } from '../grant/pattern.ts';
import { positionBytes } from '../replica/cursor.ts';
import { parseUuid } from '../core/uuid.ts';
import { type backupRequest } from './schema.ts';

/** JSON text against a schema. Errors: `malformed` and `unknown_field`, naming the field. */
export function parseBody<Schema extends z.ZodType>(schema: Schema, bytes: Buffer): z.output<Schema> {
  return checkJson(schema, parseJson(bytes));
}

/** Errors: as of `parseBody`. */
export function checkJson<Schema extends z.ZodType>(schema: Schema, json: unknown): z.output<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw schemaError(parsed.error);
}

/** Values of one body, and a few more; the fullest that is right has 6,001 commas and brackets. */
const partsMax = 16_384;

/** Errors: `malformed`; `too_large` for one of so many parts that to read them would keep everybody waiting. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length > partsMax && hasManyParts(bytes))
    throw new GkvError('too_large', `the body has more than ${partsMax} commas and brackets, which is the most that is taken`);
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    throw new GkvError('malformed', `the body is not JSON: ${why.slice(0, 200)}`, { cause: error });
  }
}

function hasManyParts(bytes: Buffer): boolean {
  let parts = 0;
  for (const mark of [',', '[', '{'])
    for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + 1)) {
      parts += 1;
      if (parts > partsMax) return true;
    }
  return false;
}

function schemaError(error: z.ZodError): GkvError {
  const unknown = error.issues.find((issue) => issue.code === 'unrecognized_keys');
  if (unknown !== undefined) return unknownField(fieldName([...unknown.path, ...unknown.keys.slice(0, 1)]));
  const first = error.issues[0];
  const field = fieldName(first?.path ?? []);
  return new GkvError('malformed', `${field}: ${first?.message ?? 'does not fit'}`, { details: { field } });
}

export function unknownField(field: string): GkvError {
  return new GkvError('unknown_field', `field ${field} is not known here`, { details: { field } });
}

function fieldName(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text === '' ? 'body' : text.replace(/^\./, '').slice(0, 200);
}

/** Standard base64 with padding, and no second spelling of the same bytes. */
export function decodeBase64(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) {
    const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
    throw new GkvError('malformed', `${field}: ${shown} is not base64 (the standard alphabet, with padding)`, { details: { field } });
  }
  return bytes;
}

/** A key in base64url without padding, as it stands in a query. */
export function decodeQueryKey(text: unknown): Key {
  const bytes = Buffer.from(typeof text === 'string' ? text : '', 'base64url');
  if (typeof text !== 'string' || bytes.toString('base64url') !== text) {
    throw new GkvError('malformed', 'key: must be in the query once, in base64url without padding', { details: { field: 'key' } });
  }
  try {
    return parseKey(bytes);
  } catch (error) {
    throw inField(error, 'key');
  }
}

export function decodeKey(text: string, field: string): Key {
  const bytes = decodeBase64(text, field);
  try {
    return parseKey(bytes);
  } catch (error) {
    throw inField(error, field);
  }
}

/** HOST:PORT where somebody may listen. Error: `malformed`. */
export function decodeAddress(text: string, field: string): HostPort {
  const address = parseHostPort(text);
  if (address !== undefined && address.port !== 0) return address;
  const why = address === undefined ? `${JSON.stringify(text.slice(0, 100))} is not ${hostPortIs}` : 'nobody listens on port 0';
  throw new GkvError('malformed', `${field}: ${why}`, { details: { field } });
}

/** The 16 bytes. Error: `malformed`. */
export function decodeUuid(text: string, field: string): Uint8Array {
  const bytes = parseUuid(text);
  if (bytes !== undefined) return bytes;
  throw new GkvError('malformed', `${field}: ${JSON.stringify(text.slice(0, 100))} is no UUID in lower case`, { details: { field } });
}

/** The same error, of a field. */
export function inField(error: unknown, field: string): unknown {
  return error instanceof GkvError ? new GkvError(error.code, `${field}: ${error.message}`, { cause: error, details: { field } }) : error;
}

export function decodeStamp(text: string, field: string): Stamp {
  try {
    return stampFromHex(text);
  } catch (error) {
    throw inField(error, field);
  }
}

/** Half-open; an empty start is the first key, an empty end past the last. Of a prefix, what lies between the two. Errors: `malformed`, `too_large`. */
export function toRange(fields: { start?: string | undefined; end?: string | undefined; prefix?: string | undefined }): KeyRange {
  const range = boundsOf(fields);
  return fields.prefix === undefined ? range : common(prefixRange(decodeBound(fields.prefix, 'prefix', limits.keyBytesMax)), range);
}

function boundsOf(fields: { start?: string | undefined; end?: string | undefined }): KeyRange {
  const start = decodeBound(fields.start ?? '', 'start', limits.keyBytesMax + 1);
  const end = decodeBound(fields.end ?? '', 'end', limits.keyBytesMax + 1);
  if (end.length === 0) return { start, end: null };
  if (Buffer.compare(end, start) < 0) throw new GkvError('malformed', 'end: is before start', { details: { field: 'end' } });
  return { start, end };
}

/** An empty range where they have nothing in common. */
function common(range: KeyRange, other: KeyRange): KeyRange {
  const start = Buffer.compare(range.start, other.start) >= 0 ? range.start : other.start;
  const end = range.end === null || (other.end !== null && Buffer.compare(other.end, range.end) < 0) ? other.end : range.end;
  return end !== null && Buffer.compare(end, start) <= 0 ? { start: range.start, end: range.start } : { start, end };
}

function decodeBound(text: string, field: string, bytesMax: number): Buffer {
  const bytes = decodeBase64(text, field);
  if (bytes.length <= bytesMax) return bytes;
  throw new GkvError('too_large', `${field}: has ${bytes.length} bytes, at most ${bytesMax} are allowed`, { details: { field } });
}

/** Error: `malformed`, `too_large`. */
export function toFilter(texts: readonly string[] | undefined): KeyFilter | undefined {
  if (texts === undefined) return undefined;
  return new KeyFilter(
    texts.map((text, index) => {
      const removes = text.startsWith('!');
      const field = `patterns[${index}]`;
      const bytes = decodeBase64(removes ? text.slice(1) : text, field);
      try {
        return { pattern: Pattern.parse(bytes), removes };
      } catch (error) {
        throw inField(error, field);
      }
    }),
  );
}

type ResumeFields = NonNullable<z.output<typeof backupRequest>['resume']>;

/** Where a backup goes on. Error: `malformed`. */
export function toBackupResume({ header, digest, position, pages, writes }: ResumeFields): BackupResume {
  const progress = {
    pages,
    writes,
    digest: decodeExactly(digest, 'resume.digest', digestBytes),
    position: position === undefined ? undefined : decodeExactly(position, 'resume.position', positionBytes),
  };
  return { header: decodeHeader(decodeBase64(header, 'resume.header')), progress };
}

function decodeExactly(text: string, field: string, length: number): Buffer {
  const bytes = decodeBase64(text, field);
  if (bytes.length === length) return bytes;
  throw new GkvError('malformed', `${field}: has ${bytes.length} bytes, must have ${length}`, { details: { field } });
}
