import assert from 'node:assert/strict';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { decodeAnswer, decodeRequest, frameBytesMax } from '../../src/aae/frame.ts';
import { decodeAsk, decodeReply, encodeAsk, type Ask, type Parts, type Reply } from '../../src/aae/message.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { received } from '../replica/received.ts';
import { FakeClock } from '../support.ts';
import { askFrame } from './hostile.ts';
import { exchange, linkTo, openInstance, set, type Instance } from './world.ts';

const before = makeStamp(new FakeClock().now() - 1_000, 0, parseInstance(new Uint8Array(8)));
/** Of 1,018 bytes, which differ at once: edges that front coding does not shorten. */
const nameOf = (at: number): string => `${at.toFixed(1).padStart(8, '0')}${'x'.repeat(1_010)}`;

/** So many keys, the same ones with the same versions on each instance. */
async function load(count: number, ...instances: readonly Instance[]): Promise<void> {
  for (let from = 0; from < count; from += limits.commitWritesMax) {
    const names = Array.from({ length: Math.min(limits.commitWritesMax, count - from) }, (_, i) => nameOf(from + i));
    for (const { replica, digests } of instances) {
      const writes = names.map((name) => received(digests, name, before));
      await replica.receive(writes, 'peer');
    }
  }
}

/** Keys between those that were loaded. */
const between = (first: number, count: number, step: number): WriteOp[] =>
  Array.from({ length: count }, (_, i) => set(nameOf(first + i * step + 0.5), 'v'));

interface Exchanged {
  readonly ask: Ask;
  readonly reply: Reply;
  readonly frameBytes: number;
  readonly answerBytes: number;
}

/** A link that notes what goes over it. */
function observed(peer: Instance, log: Exchanged[]): PeerLink {
  const link = linkTo(peer);
  return {
    ask: async (frame, signal) => {
      const answer = await link.ask(frame, signal);
      const ask = decodeAsk(decodeRequest(frame, peer.digests).body);
      const reply = decodeReply(decodeAnswer(answer, frame, peer.digests).body);
      log.push({ ask, reply, frameBytes: frame.length, answerBytes: answer.length });
      return answer;
    },
  };
}

describe('exchange of long keys', () => {
  it('A8: writes of 1 MiB each way, found while 512 KiB of spans fill the requests, keep all frames within the limit', async () => {
    const ours = await openInstance({ cluster: 1 });
    const theirs = await openInstance({ cluster: 2, seed: 2 });
    await load(12_000, ours, theirs);
    await ours.replica.write(between(0, 290, 40));
    await theirs.replica.write(between(20, 270, 40));
    // Spans are taken from the end, so that these are found first.
    const value = 'x'.repeat(limits.valueBytesMax);
    await ours.replica.write([set(nameOf(11_300.5), value)]);
    await theirs.replica.write([set(nameOf(11_970.5), value)]);
    const log: Exchanged[] = [];
    const { converged, sent, received: came } = await exchange(ours, observed(theirs, log));
    assert.deepEqual([converged, sent, came], [true, 291, 271]);
    for (const { frameBytes, answerBytes } of log) assert.ok(frameBytes <= frameBytesMax && answerBytes <= frameBytesMax);
    const besides = log.filter(({ ask }) => spanBytes(ask) > 500_000 && ask.writes.length > 0);
    assert.ok(besides.length > 0, 'writes went along while spans filled the requests');
  });

  it('A8: spans that all differ are answered within the limit, and told undivided once the answer is full', async () => {
    const instance = await openInstance();
    await load(20_460, instance);
    const spanOf = (parts: number): Parts => ({
      start: Buffer.from(nameOf(0)),
      parts: Array.from({ length: parts }, (_, i) => ({ end: Buffer.from(nameOf((i + 1) * 930)), fingerprint: new Uint8Array(8) })),
    });
    // Alone the first is answered with just below 512 KiB, and so the second is looked at too.
    const frame = askFrame({ spans: [spanOf(15), spanOf(22), spanOf(1)] }, instance.digests);
    const answer = await instance.responder.answer(frame);
    assert.ok(answer.length <= frameBytesMax, `${answer.length} bytes`);
    const { looked, spans } = decodeReply(decodeAnswer(answer, frame, instance.digests).body);
    assert.deepEqual([looked, spans.length], [2, 37]);
    assert.deepEqual([spans[0]?.parts.length, spans[36]?.parts.length], [30, 1]);
  });
});

function spanBytes(ask: Ask): number {
  return encodeAsk({ ...ask, wants: [], fetch: undefined, writes: new Uint8Array(0) }).length;
}
