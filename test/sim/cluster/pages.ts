import { equalBytes } from '../../../src/core/bytes.ts';
import { decodeEntry, encodePosition } from '../../../src/core/entry.ts';
import { headKey } from '../../../src/replica/change.ts';
import { readFeedPage, readGrantedPage, type FeedPage, type FeedSource } from '../../../src/replica/feedPage.ts';
import { type Replica } from '../../../src/replica/replica.ts';
import { type Store } from '../../../src/store/store.ts';
import { withMethods } from './replaced.ts';

/** A replica whose feed comes in pages of at most `max` writes, so that a short run sees feeds of many pages. */
export function shortPages(replica: Replica, store: Store, source: FeedSource, max: number): Replica {
  const feedPage: Replica['feedPage'] = (after, covered, recordsAfter, scope) =>
    store.read(async (snapshot): Promise<FeedPage> => {
      const page =
        recordsAfter === undefined
          ? await readFeedPage(snapshot, source, after, { covered, scope })
          : await readGrantedPage(snapshot, source, after, { covered, scope, recordsAfter });
      const last = page.writes[max - 1]?.write;
      if (last === undefined || page.writes.length === max) return page;
      const entry = decodeEntry((await snapshot.get(headKey(last.key))) ?? new Uint8Array(0));
      const place = entry.find(({ leaf }) => equalBytes(leaf, last.leaf))?.position;
      return place === undefined ? page : { ...page, writes: page.writes.slice(0, max), position: encodePosition(place), end: undefined };
    });
  return withMethods(replica, { feedPage });
}
