import { askerOf } from '../../../src/aae/frame.ts';
import { Responder } from '../../../src/aae/responder.ts';
import { GkvError } from '../../../src/core/errors.ts';
import { type Scopes } from '../../../src/core/scope.ts';
import { answerIdentity } from '../../../src/mesh/identity.ts';
import { type Handler } from '../network/network.ts';
import { type Parts } from './instance.ts';
import { sinkOf } from './jobs.ts';

/** Answers what peers ask, by path. A layer that answers more adds its path here. */
export function answers(parts: Parts): Handler {
  const { store, digests, own, clock } = parts;
  const self = { clusterId: own.clusterId, regionName: '' };
  const responder = new Responder({
    store,
    digests,
    clusterId: own.clusterId,
    sink: sinkOf(parts),
    clock,
    refusalOf: (peer) => parts.mesh.refusalOf(peer),
  });
  /** As a session would have proved them. */
  const scopesOf = (frame: Uint8Array): Scopes | undefined => {
    const asker = parts.held === undefined ? undefined : askerOf(frame);
    return asker && parts.held?.scopes.betweenCluster(parts.held.region, asker);
  };
  const byPath: Readonly<Record<string, (frame: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>>> = {
    '/exchange': (frame) => responder.answer(frame, scopesOf(frame)),
    '/identity': (frame) => Promise.resolve().then(() => answerIdentity(frame, self, digests)),
    '/feed': (frame) => parts.mesh.feedServer.answer(frame, scopesOf(frame)),
  };
  return (path, frame, signal) => {
    const answer = byPath[path];
    return answer === undefined ? Promise.reject(new GkvError('unknown_path', `nothing answers ${path}`)) : answer(frame, signal);
  };
}
