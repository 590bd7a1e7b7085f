import { Responder } from '../../../src/aae/responder.ts';
import { GkvError } from '../../../src/core/errors.ts';
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
  const byPath: Readonly<Record<string, (frame: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>>> = {
    '/exchange': (frame) => responder.answer(frame),
    '/identity': (frame) => Promise.resolve().then(() => answerIdentity(frame, self, digests)),
    '/feed': (frame) => parts.mesh.feedServer.answer(frame),
  };
  return (path, frame, signal) => {
    const answer = byPath[path];
    return answer === undefined ? Promise.reject(new GkvError('unknown_path', `nothing answers ${path}`)) : answer(frame, signal);
  };
}
