import { PassThrough, Readable } from 'node:stream';
import { type Context } from 'koa';
import { type PullReport } from '../aae/driver.ts';
import { asBuffer, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { encodePosition, type Head } from '../core/entry.ts';
import { clusterPartOf, slotOf } from '../core/frontier.ts';
import { stampToHex } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { type BodyReader } from './body.ts';
import { clientGone, goneMessage } from './clientGone.ts';
import { backupRequest, keyQuery, pullRequest, recordsQuery } from './schema.ts';
import { checkJson, decodeAddress, decodeQueryKey, parseBody, toBackupResume, toRange } from './parse.ts';
import { recordBytes } from '../grant/anyRecord.ts';
import { type LeafChain } from '../replica/guard.ts';
import {
  type Backups,
  type EntryView,
  type Puller,
  type PullRequest,
  type RecordsView,
  type RefusalsView,
  type StatusView,
  type TreeView,
} from './ports.ts';
import { answerJson, type Route } from './shell.ts';
import { errorAnswer } from './status.ts';

export interface ControlDeps {
  readonly puller: Puller;
  readonly tree: TreeView;
  readonly status: StatusView;
  readonly backups: Backups;
  readonly entries: EntryView;
  readonly refusals: RefusalsView;
  /** Undefined in an open mesh. */
  readonly records: RecordsView | undefined;
  readonly bodies: BodyReader;
  /** Ends the pulls and backups under way. */
  readonly signal: AbortSignal;
}

const ndjson = 'application/x-ndjson';
/** Each holds a page or two, some 3 MB, however slowly it is read. */
const backupsMax = 16;
/** Each holds a frame or two at either side, and keeps the peer comparing. */
const pullsMax = 16;
/** A reader of progress that is this far behind misses lines. */
const unreadBytesMax = 65_536;

export function controlRoutes(deps: ControlDeps): Route[] {
  let pulls = 0;
  const pull = async (ctx: Context): Promise<void> => {
    const fields = parseBody(pullRequest, await deps.bodies.read(ctx.req, ctx.res));
    const { host, port } = decodeAddress(fields.peer, 'peer');
    const range = toRange(fields);
    if (pulls >= pullsMax) throw tooMany(ctx, `${pulls} pulls are under way`);
    const wait = beginWait(deps.signal, clientGone(ctx));
    const request = { host, port, range, direction: fields.direction, signal: wait.signal };
    const pull = (onProgress: PullRequest['onProgress']): Promise<PullReport> => {
      pulls += 1;
      return deps.puller.pull({ ...request, onProgress }).finally(() => {
        wait.end();
        pulls -= 1;
      });
    };
    if (ctx.req.headers.accept?.includes(ndjson) === true) await withProgress(ctx, pull);
    else answerJson(ctx, JSON.stringify(await pull(() => undefined)));
  };
  const tree = async (ctx: Context): Promise<void> => {
    answerJson(ctx, JSON.stringify(await deps.tree.root()));
  };
  const status = async (ctx: Context): Promise<void> => {
    answerJson(ctx, JSON.stringify(await deps.status.status()));
  };
  let backups = 0;
  const backup = async (ctx: Context): Promise<void> => {
    const { resume } = parseBody(backupRequest, await deps.bodies.read(ctx.req, ctx.res));
    if (ctx.res.closed) throw new GkvError('unavailable', goneMessage); // it would not say so again
    if (backups >= backupsMax) throw tooMany(ctx, `${backups} backups are made`);
    backups += 1;
    ctx.res.once('close', () => {
      backups -= 1;
    });
    const records = deps.backups.open(resume === undefined ? undefined : toBackupResume(resume), deps.signal);
    await streamRecords(ctx, records);
  };
  const key = async (ctx: Context): Promise<void> => {
    const candidates = await deps.entries.candidates(decodeQueryKey(ctx.query['key']));
    answerJson(ctx, JSON.stringify({ candidates: candidates.map((head) => candidateJson(head, deps.entries.chainOf(head.leaf))) }));
  };
  const refused = (ctx: Context): void => {
    answerJson(ctx, JSON.stringify({ refused: deps.refusals.latest().map(refusalJson) }));
  };
  const records = async (ctx: Context): Promise<void> => {
    const { after, limit } = checkJson(recordsQuery, { ...ctx.query });
    if (deps.records === undefined)
      throw new GkvError('mesh_mismatch', 'this is an open mesh: it has no grants, nor other records of authority');
    const page = await deps.records.page(after, limit);
    const told = page.records.map((any, i) => ({
      number: after + 1 + i,
      kind: any.kind,
      record: asBuffer(recordBytes(any)).toString('base64'),
    }));
    answerJson(ctx, JSON.stringify({ records: told, next: page.next ?? null }));
  };
  return [
    { method: 'GET', path: '/control/records', query: Object.keys(recordsQuery.shape), handle: records },
    { method: 'GET', path: '/control/refused', handle: refused },
    { method: 'POST', path: '/control/backup', handle: backup },
    { method: 'GET', path: '/control/key', query: Object.keys(keyQuery.shape), handle: key },
    { method: 'GET', path: '/control/status', handle: status },
    { method: 'POST', path: '/control/aae/pull', handle: pull },
    { method: 'GET', path: '/control/tree', handle: tree },
  ];
}

function tooMany(ctx: Context, what: string): GkvError {
  ctx.set('Retry-After', '1');
  return new GkvError('unavailable', `${what} now, which is the most: try again later`);
}

/** `origin` names the instance that took the write in: its cluster's 12 hex digits, and its slot. */
function candidateJson(head: Head, chain: LeafChain | undefined): object {
  return {
    version: stampToHex(head.version),
    accepted: stampToHex(head.accepted),
    origin: { cluster: clusterPartOf(head.accepted), slot: slotOf(head.accepted) },
    writeId: toHex(head.id),
    leafGrant: toHex(head.leaf),
    tombstone: head.tombstone,
    expiresAt: head.expiresAt === 0 ? null : head.expiresAt,
    bytes: head.length,
    feedPosition: head.position === undefined ? null : toHex(encodePosition(head.position)),
    chain: chain === undefined ? null : chainJson(chain),
  };
}

/** `grants` from the root's to the leaf, as far as they are known. */
function chainJson({ links, refusal }: LeafChain): object {
  const hex = (id: Uint8Array | undefined): string | null => (id === undefined ? null : toHex(id));
  return {
    grants: links.map(({ id, body }) => ({ grant: toHex(id), audience: toHex(body.audience) })),
    stands: refusal === undefined,
    code: refusal?.code ?? null,
    message: refusal?.message ?? null,
    link: refusal?.link ?? null,
    endedBy: hex(refusal?.endedBy),
  };
}

/** Of a key that is shown in a list of refusals. */
const shownKeyBytesMax = 64;

function refusalJson({ key, atMs, ...refused }: ReturnType<RefusalsView['latest']>[number]): object {
  const shown = asBuffer(key).subarray(0, shownKeyBytesMax).toString('base64');
  return { at: new Date(atMs).toISOString(), ...refused, key: shown, keyBytes: key.length };
}

/**
 * Lines {"progress":REPORT}…, and at last {"report":REPORT} or {"error":ERROR}. What fails before the first progress is
 * answered with its own status.
 */
async function withProgress(ctx: Context, pull: (onProgress: PullRequest['onProgress']) => Promise<PullReport>): Promise<void> {
  const lines = new PassThrough();
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const onProgress = (report: PullReport): void => {
    if (lines.writableLength < unreadBytesMax) lines.write(`${JSON.stringify({ progress: report })}\n`);
    begin();
  };
  const pulling = pull(onProgress);
  await Promise.race([begun, pulling]);
  ctx.set('Content-Type', `${ndjson}; charset=utf-8`);
  ctx.body = lines;
  const requestId = ctx.response.get('X-Request-Id');
  void pulling
    .then(
      (report) => `${JSON.stringify({ report })}\n`,
      (error: unknown) => `${errorAnswer(error, requestId).body}\n`,
    )
    .then((last) => {
      lines.end(last);
    });
}

/**
 * The first record is awaited, so that what fails before it is answered with its own status; what fails later breaks the connection off. The reader's
 * pace is ours: one record waits for it.
 */
async function streamRecords(ctx: Context, records: AsyncGenerator<Buffer>): Promise<void> {
  const first = await records.next();
  const all = async function* (): AsyncGenerator<Buffer> {
    try {
      if (first.done !== true) yield first.value;
      yield* records;
    } finally {
      await records.return(undefined);
    }
  };
  const stream = Readable.from(all(), { objectMode: false, highWaterMark: 1 });
  stream.once('error', (error) => ctx.res.destroy(error));
  ctx.set('Content-Type', 'application/octet-stream');
  ctx.body = stream;
}
