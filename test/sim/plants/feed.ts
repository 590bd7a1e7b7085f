import { compareBytes } from '../../../src/core/bytes.ts';
import { clusterPartOf, type Frontier } from '../../../src/core/frontier.ts';
import { compareStamps, makeStamp } from '../../../src/core/stamp.ts';
import { instanceOf } from '../../../src/crypto/mesh.ts';
import { type MeshDeps } from '../../../src/mesh/mesh.ts';
import { positionBytes, positionPastAll, positionZero } from '../../../src/replica/cursor.ts';
import { readFeedPage, type FeedPage } from '../../../src/replica/feedPage.ts';
import { openingIdBytes } from '../../../src/replica/lineage.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { type Replica } from '../../../src/replica/replica.ts';
import { feedTailKey, tables } from '../../../src/store/keyspace.ts';
import { type Snapshot } from '../../../src/store/store.ts';
import { withMethods } from '../cluster/replaced.ts';
import { type Plant } from './plant.ts';

/** The mesh uses another replica than it should: the real one, with some of its methods replaced. */
export function meshReplica(methods: (replica: Replica, deps: MeshDeps) => Partial<Replica>): Plant {
  return { mesh: (deps) => ({ ...deps, replica: withMethods(deps.replica, methods(deps.replica, deps)) }) };
}

/** Every page of a feed is answered with the frontier, also where more is to come. */
export const frontierBeforeEnd = meshReplica((replica) => ({
  feedPage: async (after, covered) => {
    const page = await replica.feedPage(after, covered);
    return { ...page, end: page.end ?? (await replica.frontier()) };
  },
}));

/** The frontier is read in another snapshot than the rows of the page that it ends. */
export const endReadLater = meshReplica((replica) => ({
  feedPage: async (after, covered) => {
    const page = await replica.feedPage(after, covered);
    return { ...page, end: page.end === undefined ? undefined : await replica.frontier() };
  },
}));

/** Partitions of a feed are read one after the other, each in a snapshot of its own. */
export const partitionsReadApart = meshReplica((_replica, { own, store }) => ({
  feedPage: (after, covered) =>
    store.read(async (snapshot) => {
      const part = clusterPartOf(makeStamp(0, 0, instanceOf(own.clusterId, own.incarnation, 0)));
      await snapshot.get(feedTailKey); // so that the frontier is from before all of them
      let last: Promise<unknown> = Promise.resolve();
      const apart: Snapshot = {
        get: (key) => store.read((later) => later.get(key)),
        range: (range, options) => {
          if (range.start[0] !== tables.feed) return snapshot.range(range, options);
          const rows = last.then(() => store.read((later) => later.range(range, options)));
          last = rows.catch(() => undefined);
          return rows;
        },
      };
      return readFeedPage(apart, { own: part, partitions: 16 }, after, { covered });
    }),
}));

/** What an instance has minted counts as closed, though it may not be committed yet. */
export const mintedIsClosed = meshReplica((replica, { own }) => ({
  feedPage: async (after, covered) => {
    const page = await replica.feedPage(after, covered);
    const part = clusterPartOf(makeStamp(0, 0, instanceOf(own.clusterId, own.incarnation, 0)));
    const closed = page.end?.get(part);
    if (page.end === undefined || closed === undefined) return page;
    const slots = new Map([...closed.slots, [replica.slot, replica.hlc.last]]);
    return { ...page, end: new Map([...page.end, [part, { ...closed, slots }]]) };
  },
}));

/** What one slot of a cluster has reached counts for all of them: what the reader lacks is skipped. */
export const skipsOtherSlots = meshReplica((replica) => ({
  feedPage: (after, covered) => replica.feedPage(after, greatestOfSlots(covered)),
}));

function greatestOfSlots(covered: Frontier): Frontier {
  return new Map(
    [...covered].map(([part, { base, slots }]) => {
      const greatest = [...slots.values()].reduce((a, b) => (compareStamps(a, b) < 0 ? b : a), base);
      return [part, { base: greatest, slots: new Map() }];
    }),
  );
}

/** A store says that it goes on from where it was, whatever it was restored from. */
export const undetectedRestore = meshReplica((_replica, { clock }) => ({
  lineage: () => Promise.resolve({ openings: [{ id: new Uint8Array(openingIdBytes), began: 0 }], progress: Math.floor(clock.monotonic()) }),
}));

const sortedPageWrites = 20;

/** The feed goes by versions: what comes late with an earlier one is behind the readers' places already. */
export const cursorByVersions = meshReplica((replica) => ({
  feedPage: async (after, covered) => {
    const all: ReceivedWrite[] = [];
    let page: FeedPage = { writes: [], position: positionZero, end: undefined };
    while (page.end === undefined) {
      page = await replica.feedPage(page.position, covered);
      all.push(...page.writes);
    }
    if (compareBytes(after, positionPastAll) === 0) return { writes: [], position: after, end: page.end };
    const left = all
      .filter(({ write }) => compareBytes(versionPosition(write), after) > 0)
      .sort((a, b) => compareStamps(a.write.version, b.write.version));
    const writes = left.slice(0, sortedPageWrites);
    const last = writes.at(-1);
    const position = last === undefined ? after : versionPosition(last.write);
    return { writes, position, end: writes.length === left.length ? page.end : undefined };
  },
}));

function versionPosition({ version }: ReceivedWrite['write']): Uint8Array {
  return version.subarray(0, positionBytes);
}

/** The place in a feed moves though the last write of a page was not taken in. */
export const lastOfPageLost = meshReplica((replica) => ({
  receivePage: (writes, peer, move) => replica.receivePage(writes.slice(0, -1), peer, move),
}));

/** The place in a feed moves in a commit before the one that takes the page in. */
export const movedBeforeTaken = meshReplica((replica) => ({
  receivePage: async (writes, peer, move) => {
    const { isMoved } = await replica.receivePage([], peer, move);
    return { isMoved, results: await replica.receive(writes, peer) };
  },
}));

/** A peer's frontier is joined though something that it sent is parked. */
export const joinedWhileParked = meshReplica((replica) => ({
  receivePage: async (writes, peer, move) => {
    const taken = await replica.receivePage(writes, peer, { ...move, joins: undefined });
    if (taken.isMoved) await replica.receivePage([], 'nobody', { ...move, cursor: undefined });
    return taken;
  },
}));
