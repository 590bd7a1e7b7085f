import { createReadStream } from 'node:fs';
import { type Command } from 'commander';
import { z } from 'zod';
import { type BatchOp, type Client } from '../client/client.ts';
import { GkvError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { clientOf, withInstance, type InstanceOptions } from './instance.ts';
import { fileError, printed, Progress, textBytes } from './io.ts';
import { linesIn } from './lines.ts';

/** Asked for at a time. */
const pageKeys = 1_000;
/** One request takes at most so many lines and characters; so many requests are under way at once. */
const batch = { opsMax: 500, charsMax: 1_500_000, inFlightMax: 4 } as const;
/** The greatest key and value in base64, and room for what stands around them. */
const lineBytesMax = 1_500_000;

const lineSchema = z.strictObject({ key: z.string(), value: z.string() });

/** Adds import and export: lines {"key":base64,"value":base64}. */
export function transferCommands(program: Command): void {
  withInstance(program.command('import <file>'))
    .description('set every line {"key":base64,"value":base64} of a file; - for standard input')
    .action(async (file: string, options: InstanceOptions) => {
      await using client = clientOf(options);
      const progress = new Progress('imported');
      const count = await importLines(client, linesOf(file), (done) => {
        progress.update(done);
      });
      progress.finish(count);
    });
  withInstance(program.command('export'))
    .description('print every entry as a line {"key":base64,"value":base64}')
    .option('--prefix <prefix>', 'only keys that begin with it')
    .action(async (options: InstanceOptions & { prefix?: string }) => {
      await using client = clientOf(options);
      const progress = new Progress('exported');
      let count = 0;
      const prefix = options.prefix === undefined ? {} : { prefix: textBytes(options.prefix, ': take a shorter one') };
      for await (const { key, value } of client.entries({ ...prefix, limit: pageKeys })) {
        await printed(JSON.stringify({ key: key.toString('base64'), value: value.toString('base64') }));
        count += 1;
        progress.update(count);
      }
      progress.finish(count);
    });
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input: AsyncIterable<Buffer> = file === '-' ? process.stdin : createReadStream(file);
  try {
    yield* linesIn(input, lineBytesMax);
  } catch (cause) {
    if (cause instanceof GkvError) throw cause;
    throw fileError(file, 'cannot be read', cause);
  }
}

/** Sends lines in batches, a bounded number at once. Returns how many. Errors: `malformed` with the line's number, and those of a batch, each with how many were set. */
async function importLines(client: Client, lines: AsyncIterable<string>, onDone: (count: number) => void): Promise<number> {
  const underWay = new Set<Promise<void>>();
  const keysUnderWay = new Set<string>();
  const failures: unknown[] = [];
  let done = 0;
  const send = (ops: readonly BatchOp[]): void => {
    const sent: Promise<void> = client
      .batch(ops)
      .then(() => {
        done += ops.length;
        onDone(done);
      })
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => {
        underWay.delete(sent);
        for (const { key } of ops) keysUnderWay.delete(key);
      });
    underWay.add(sent);
    for (const { key } of ops) keysUnderWay.add(key);
  };
  try {
    for await (const ops of batches(lines)) {
      if (ops.some(({ key }) => keysUnderWay.has(key))) await Promise.all(underWay); // the later line must win
      send(ops);
      if (underWay.size >= batch.inFlightMax) await Promise.race(underWay);
      if (failures.length > 0) break;
    }
  } catch (error) {
    failures.push(error);
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw unfinished(failures, done);
  return done;
}

/** What failed first, and how much of the file is there by now. */
function unfinished(failures: readonly unknown[], done: number): GkvError {
  const [failure] = failures;
  const isUnsure = failures.some((each) => each instanceof GkvError && each.details['outcome'] === 'unknown');
  const ifNone = isUnsure ? 'no line is known to be imported' : 'nothing was imported';
  const { code, message, details } = failure instanceof GkvError ? failure : new GkvError('internal', 'import failed');
  const doneLines = done === 0 ? ifNone : `${done} other lines were imported; those and the rest may be imported again`;
  return new GkvError(code, `${message}: ${doneLines}`, { details, cause: failure });
}

/** A key that comes again begins a new batch: no batch names a key twice. */
async function* batches(lines: AsyncIterable<string>): AsyncGenerator<BatchOp[]> {
  let ops: BatchOp[] = [];
  let keys = new Set<string>();
  let chars = 0;
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === '') continue;
    const { key, value } = parseLine(line, number);
    if (ops.length > 0 && (ops.length === batch.opsMax || chars + line.length > batch.charsMax || keys.has(key))) {
      yield ops;
      ops = [];
      keys = new Set();
      chars = 0;
    }
    ops.push({ op: 'set', key, value });
    keys.add(key);
    chars += line.length;
  }
  if (ops.length > 0) yield ops;
}

function parseLine(line: string, number: number): { key: string; value: string } {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new GkvError('malformed', `line ${number} is not JSON`, { cause });
  }
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) throw new GkvError('malformed', `line ${number} is not {"key":base64,"value":base64}`);
  const { key, value } = parsed.data;
  const reason = whyRefused('key', key, 1, limits.keyBytesMax) ?? whyRefused('value', value, 0, limits.valueBytesMax);
  if (reason !== undefined) throw new GkvError('malformed', `line ${number}: ${reason}`);
  return parsed.data;
}

/** What the server would refuse too, without the number of the line. */
function whyRefused(name: string, text: string, bytesMin: number, bytesMax: number): string | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) return `${name} is not standard base64 with padding`;
  if (bytes.length >= bytesMin && bytes.length <= bytesMax) return undefined;
  return `${name} has ${bytes.length} bytes, ${bytesMin} to ${bytesMax} are allowed`;
}
