import { type Context } from 'koa';
import { asBuffer } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { stampToHex } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { type WriteOp, type WriteOutcome } from '../replica/proposal.ts';
import { type ListedEntry } from '../replica/read.ts';
import { type Caller } from './access.ts';
import { type BodyReader } from './body.ts';
import { clientGone } from './clientGone.ts';
import { type CallerRoute } from './guard.ts';
import { decodeKey, decodeStamp, parseBody, toFilter, toRange } from './parse.ts';
import { type DataStore, type Health } from './ports.ts';
import { getRequest, listRequest } from './schema.ts';
import { answerJson } from './shell.ts';
import { parseBatch, parseSet, type Writes } from './writes.ts';

/**
 * The four data routes. Answers are put together as text: base64 and hex need no escaping, and this is the path that
 * every request takes.
 */
export function dataRoutes(store: DataStore, bodies: BodyReader, signal: AbortSignal, { ended }: Pick<Health, 'ended'>): CallerRoute[] {
  const waits = new Waits(store, signal);
  const get = async (ctx: Context, callerOf: () => Caller): Promise<void> => {
    const caller = callerOf();
    const { key: text, atLeast } = parseBody(getRequest, await bodies.read(ctx.req, ctx.res));
    const key = decodeKey(text, 'key');
    caller.mayUse('read', key);
    if (atLeast !== undefined) await waits.until(ctx, atLeast);
    const { value, exists, version } = await store.get(key);
    const shown = version === null ? 'null' : `"${stampToHex(version)}"`;
    answerJson(ctx, `{"value":"${base64(value)}","exists":${exists ? 'true' : 'false'},"version":${shown}}`);
  };
  const write = async (ctx: Context, callerOf: () => Caller, parse: (body: Buffer) => Writes): Promise<readonly WriteOutcome[]> => {
    // A signed write says by itself who made it: who shows a token is asked for a good one, and who shows none may only send such.
    const shown = store.takesSigned && ctx.req.headers.authorization === undefined ? undefined : callerOf();
    const writes = parse(await bodies.read(ctx.req, ctx.res));
    if (writes.kind === 'ops') assertMayWrite(shown ?? callerOf(), writes.ops);
    const why = ended();
    if (why !== undefined) throw why;
    if (writes.kind === 'signed') return store.writeSigned(writes.statements);
    return writes.ops.length === 0 ? [] : store.write(writes.ops);
  };
  const set = async (ctx: Context, callerOf: () => Caller): Promise<void> => {
    const outcomes = await write(ctx, callerOf, parseSet);
    answerJson(ctx, outcomes.map(outcomeJson).join());
  };
  const list = async (ctx: Context, callerOf: () => Caller): Promise<void> => {
    const caller = callerOf();
    const fields = parseBody(listRequest, await bodies.read(ctx.req, ctx.res));
    const range = toRange(fields);
    const filter = toFilter(fields.patterns);
    caller.mayList(range);
    if (fields.atLeast !== undefined) await waits.until(ctx, fields.atLeast);
    const { entries, next } = await store.list({
      range,
      limit: fields.limit,
      order: fields.reverse ? 'reverse' : 'forward',
      values: fields.keysOnly ? 'without' : 'with',
      filter,
    });
    answerJson(ctx, `{"entries":[${entries.map(entryJson).join()}],"next":${next === null ? 'null' : `"${base64(next)}"`}}`);
  };
  const batch = async (ctx: Context, callerOf: () => Caller): Promise<void> => {
    const outcomes = await write(ctx, callerOf, parseBatch);
    answerJson(ctx, `{"results":[${outcomes.map(outcomeJson).join()}]}`);
  };
  return [
    { method: 'POST', path: '/data/get', handle: get },
    { method: 'POST', path: '/data/set', handle: set },
    { method: 'POST', path: '/data/list', handle: list },
    { method: 'POST', path: '/data/batch', handle: batch },
  ];
}

function assertMayWrite(caller: Caller, ops: readonly WriteOp[]): void {
  for (const { kind, key, expected } of ops) {
    caller.mayUse(kind === 'delete' ? 'delete' : 'write', key);
    if (expected.kind !== 'any') caller.mayUse('read', key); // what it finds instead is told
  }
}

/** A read waits this long for what it must see, and so many wait at a time. */
const waitMsMax = 5_000;
const waitingMax = 1_000;

/** Reads that must see a write which was accepted elsewhere. */
class Waits {
  readonly #store: DataStore;
  readonly #signal: AbortSignal;
  #waiting = 0;

  constructor(store: DataStore, signal: AbortSignal) {
    this.#store = store;
    this.#signal = signal;
  }

  /** Who closes its half of the connection waits no longer. Errors: `malformed`; `unavailable`, with Retry-After, where it does not come in time. */
  async until(ctx: Context, atLeast: string): Promise<void> {
    const accepted = decodeStamp(atLeast, 'atLeast');
    const wait = beginWait(this.#signal, clientGone(ctx));
    this.#waiting += 1;
    try {
      const waitMs = this.#waiting <= waitingMax ? waitMsMax : 0; // what is here already is read, however many wait
      if (await this.#store.waitFor(accepted, waitMs, wait.signal)) return;
    } finally {
      this.#waiting -= 1;
      wait.end();
    }
    ctx.set('Retry-After', '1');
    throw new GkvError(
      'unavailable',
      `what was accepted under ${atLeast} is not here yet: try again, or read in the region that accepted it`,
    );
  }
}

function outcomeJson({ version, accepted, applied }: WriteOutcome): string {
  return `{"version":"${stampToHex(version)}","accepted":"${stampToHex(accepted)}","applied":${applied ? 'true' : 'false'}}`;
}

function entryJson({ key, value, version }: ListedEntry): string {
  return `{"key":"${base64(key)}","value":"${base64(value)}","version":"${stampToHex(version)}"}`;
}

function base64(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64');
}
