import { readFeedPage, readGrantedPage, type FeedSource } from '../../../src/replica/feedPage.ts';
import { type Replica } from '../../../src/replica/replica.ts';
import { type Store } from '../../../src/store/store.ts';
import { withMethods } from './replaced.ts';

/** A replica whose feed comes in pages of at most `max` writes, so that a short run sees feeds of many pages. */
export function shortPages(replica: Replica, store: Store, source: FeedSource, max: number): Replica {
  const short = { ...source, writesMax: max };
  const feedPage: Replica['feedPage'] = (after, covered, made) =>
    store.read((snapshot) => {
      const { recordsAfter, ...options } = made ?? {};
      const leftOut = { covered, ...options };
      if (recordsAfter === undefined) return readFeedPage(snapshot, short, after, leftOut);
      return readGrantedPage(snapshot, short, after, { ...leftOut, recordsAfter });
    });
  return withMethods(replica, { feedPage });
}
