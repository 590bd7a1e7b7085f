import type Koa from 'koa';
import { type Context } from 'koa';
import { frameBytesMax } from '../aae/frame.ts';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { asBuffer } from '../core/bytes.ts';
import { envelopeBytes } from '../mesh/session.ts';
import { BodyReader } from './body.ts';
import { type HostRule } from './gate.ts';
import { type FrameResponder } from './ports.ts';
import { createShell, type Answer } from './shell.ts';

export interface MeshDeps {
  /** Of exchanges, of the feed, and of who we are. */
  readonly responder: FrameResponder;
  readonly feed: FrameResponder;
  readonly identity: FrameResponder;
  /** Of proofs between peers; undefined in an open mesh, which has none. */
  readonly session?: FrameResponder | undefined;
  readonly hosts: HostRule;
  readonly clock: Clock;
  readonly log: Log;
  readonly requestIdPrefix: string;
  readonly bodyArrivalMsMax: number;
  readonly signal: AbortSignal;
  /** Told of every answer. */
  readonly observe: (answer: Answer) => void;
}

const frameType = 'application/octet-stream';
const unknownPathAdvice = 'this is a mesh port, for other regions: clients call the API’s';

/**
 * Beyond loopback peers may call us by any name: a web page that has a name made to point here (DNS rebinding) still sends
 * its Origin with every POST, and any Origin is refused.
 */
function meshHosts(hosts: HostRule): HostRule {
  return hosts.kind === 'loopback' ? hosts : { kind: 'any', names: [] };
}

/** The mesh port: peers post frames, and nobody else anything. */
export function createMeshApp(deps: MeshDeps): Koa {
  const bytesMax = frameBytesMax + (deps.session === undefined ? 0 : envelopeBytes);
  const bodies = new BodyReader({ bytesMax, arrivalMsMax: deps.bodyArrivalMsMax }, deps.clock, deps.signal);
  const answer =
    (responder: FrameResponder) =>
    async (ctx: Context): Promise<void> => {
      const { origin, 'content-type': contentType } = ctx.req.headers;
      if (origin !== undefined) throw new GkvError('origin_denied', 'the mesh port serves peers, not web pages: there must be no Origin');
      if (contentType !== frameType) throw new GkvError('malformed', `Content-Type must be ${frameType}`);
      const frame = await responder.answer(await bodies.read(ctx.req, ctx.res));
      ctx.set('Content-Type', frameType);
      ctx.body = asBuffer(frame);
    };
  return createShell({ ...deps, hosts: meshHosts(deps.hosts), unknownPathAdvice }, [
    { method: 'POST', path: '/exchange', handle: answer(deps.responder) },
    { method: 'POST', path: '/feed', handle: answer(deps.feed) },
    { method: 'POST', path: '/identity', handle: answer(deps.identity) },
    ...(deps.session === undefined ? [] : [{ method: 'POST', path: '/session', handle: answer(deps.session) } as const]),
  ]);
}
