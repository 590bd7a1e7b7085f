import { decodeStored, readRecordsPage, readTail } from '../grant/ledger.ts';
import { type RecordsView } from '../http/ports.ts';
import { type Store } from '../store/store.ts';

/** Of the records of one answer; a single one has fewer. */
const pageBytesMax = 1_048_576;

/** The ledger's records, each page as of one moment of the store: of all that whoever shares it has taken in. */
export function recordsView(store: Store, meshId: Uint8Array): RecordsView {
  return {
    page: async (after, recordsMax) => {
      const { records, number, tail } = await store.read(async (snapshot) => ({
        ...(await readRecordsPage(snapshot, after, pageBytesMax, recordsMax)),
        tail: await readTail(snapshot),
      }));
      return { records: records.map((bytes) => decodeStored(bytes, meshId)), next: number < tail ? number : undefined };
    },
  };
}
