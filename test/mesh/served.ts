import { decodeAnswer } from '../../src/aae/frame.ts';
import { decodeFeedAnswer, type FeedAnswer, type FeedAsk } from '../../src/mesh/feedMessage.ts';
import { FeedServer } from '../../src/mesh/feedServer.ts';
import { decodeWrites } from '../../src/replica/wire.ts';
import { openInstance, set, type Instance } from '../aae/world.ts';
import { ManualClock } from '../support.ts';
import { askFrame, digests, saysNothing } from './hostile.ts';

/** A feed server, and one that asks it. */
export interface Served {
  readonly instance: Instance;
  readonly server: FeedServer;
  readonly clock: ManualClock;
  readonly stop: AbortController;
  epoch: AbortController;
  heard: number;
  pullsFromAll: boolean;
  isMember: (reader: Uint8Array) => boolean;
  readonly ask: (ask?: Partial<FeedAsk>) => Promise<{ page: FeedAnswer; names: string[] }>;
}

/** `writes`: so many are there. */
export async function serve(writes = 0): Promise<Served> {
  const instance = await openInstance();
  if (writes > 0) await instance.replica.write(Array.from({ length: writes }, (_, i) => set(`k${i}`, 'v')));
  const clock = new ManualClock();
  const stop = new AbortController();
  const server: FeedServer = new FeedServer({
    ...{ feed: instance.replica, digests, own: { clusterId: instance.clusterId, incarnation: 1 }, clock, signal: stop.signal },
    hear: () => Promise.resolve(void (served.heard += 1)),
    pullsFromAll: () => served.pullsFromAll,
    isMember: (reader) => served.isMember(reader),
    reach: () => Promise.resolve(saysNothing.reach),
    epochEnds: () => served.epoch.signal,
    state: () => Promise.resolve(saysNothing),
  });
  const ask = async (asked: Partial<FeedAsk> = {}): Promise<{ page: FeedAnswer; names: string[] }> => {
    const frame = askFrame(asked);
    const page = decodeFeedAnswer(decodeAnswer(await server.answer(frame), frame, digests, 'feed').body);
    return { page, names: decodeWrites(page.writes, digests).map(({ write }) => Buffer.from(write.key).toString()) };
  };
  const served: Served = {
    instance,
    server,
    clock,
    stop,
    epoch: new AbortController(),
    heard: 0,
    pullsFromAll: false,
    isMember: () => true,
    ask,
  };
  return served;
}

/** What a reader asks that has all. */
export async function atEnd(served: Served): Promise<Partial<FeedAsk>> {
  return { cursor: (await served.ask()).page.cursor, waitMs: 1_000 };
}

/** Lets what can go on without time go on. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
