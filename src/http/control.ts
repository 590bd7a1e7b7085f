import { PassThrough } from 'node:stream';
import { type Context } from 'koa';
import { GkvError } from '../core/errors.ts';
import { type PullReport } from '../aae/driver.ts';
import { errorJson } from './answer.ts';
import { parseBody, parseHostPort, parseRange } from './parse.ts';
import { type Puller, type PullRequest } from './ports.ts';
import { pullRequest } from './schemas.ts';

/** Lines of progress that may wait for a slow reader. */
const progressBytesMax = 65_536;

/** POST /control/aae/pull: the report, or as NDJSON `{"progress":report}` as it goes and `{"report":report}` at the end. */
export async function pull(ctx: Context, puller: Puller, body: Buffer): Promise<void> {
  const { peer, direction = 'both', ...range } = parseBody(pullRequest, body);
  const { host, port } = parseHostPort(peer, 'peer');
  const gone = new AbortController();
  ctx.res.once('close', () => {
    gone.abort(new GkvError('unavailable', 'the client went away'));
  });
  const request = { host, port, range: parseRange(range), direction, signal: gone.signal };
  if (ctx.accepts('application/json', 'application/x-ndjson') !== 'application/x-ndjson') {
    ctx.body = await puller.pull({ ...request, onProgress: () => undefined });
    return;
  }
  const lines = new PassThrough();
  ctx.type = 'application/x-ndjson';
  ctx.body = lines;
  void stream(puller, request, lines);
}

async function stream(puller: Puller, request: Omit<PullRequest, 'onProgress'>, lines: PassThrough): Promise<void> {
  const onProgress = (progress: PullReport): void => {
    if (lines.writableLength < progressBytesMax) lines.write(`${JSON.stringify({ progress })}\n`);
  };
  try {
    const report = await puller.pull({ ...request, onProgress });
    lines.end(`${JSON.stringify({ report })}\n`);
  } catch (thrown) {
    const error = thrown instanceof GkvError ? thrown : new GkvError('internal', 'unexpected error', { cause: thrown });
    lines.end(`${errorJson(error)}\n`);
  }
}
