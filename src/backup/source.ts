import { GkvError } from '../core/errors.ts';
import { frontierZero } from '../core/frontier.ts';
import { compareStamps, type Stamp } from '../core/stamp.ts';
import { positionZero } from '../replica/cursor.ts';
import { type Replica } from '../replica/replica.ts';
import { encodeWrites } from '../replica/wire.ts';
import { encodeHeader, encodePage, encodeRecords, encodeTrailer, type BackupHeader } from './content.ts';
import { isOfSameFeed, type BackupProgress } from './read.ts';
import { encodeRecord, firstDigest, magic, type RecordKind } from './record.ts';

/** Of a write and what hides it, in one page: less than a record of the file holds. */
const groupBytesMax = 1_835_008;

export interface BackupDeps {
  readonly replica: Pick<Replica, 'feedPage' | 'floor'>;
  /** Who this cluster is. */
  readonly own: Pick<BackupHeader, 'clusterId' | 'incarnation' | 'meshId' | 'keyDigest' | 'kind'>;
  /** Up to where it has everything of every member. */
  readonly low: () => Promise<Stamp>;
  readonly nowMs: () => number;
  /** Error: what keeps this store from having the deletes of all that it has. */
  readonly assertWhole: () => Promise<void>;
  /** Whether who had everything up to `low` lacks nothing that the floor counts on. */
  readonly isAboveFloor: (low: Stamp, floor: Stamp) => boolean;
}

/** Where a backup that broke off goes on. */
export interface BackupResume {
  readonly header: BackupHeader;
  readonly progress: BackupProgress;
}

/**
 * A backup, record by record, in the order of the feed: what is written meanwhile stands at its end, so that at the end everything is in
 * it that the frontier covers. A reader that stops ends it. Errors: `malformed` for a resumption of another feed; `below_floor` where
 * deletes that it has not seen may have been collected since it began; those of `assertWhole`.
 */
export async function* backupOf(deps: BackupDeps, resume: BackupResume | undefined, signal: AbortSignal): AsyncGenerator<Buffer> {
  const { replica, own } = deps;
  if (resume !== undefined && !isOfSameFeed(resume.header, own))
    throw new GkvError('malformed', 'the file is a backup of another store, or of another incarnation of this one: begin a new file');
  await deps.assertWhole(); // before low, which is waited for
  const header = resume?.header ?? { ...own, floor: await replica.floor(), low: await deps.low(), startedMs: deps.nowMs() };
  let { pages, writes } = resume?.progress ?? { pages: 0, writes: 0 };
  let position = resume?.progress.position ?? positionZero;
  let digest = resume?.progress.digest ?? firstDigest;
  const record = (kind: RecordKind, payload: Uint8Array): Buffer => {
    const encoded = encodeRecord(kind, payload, digest);
    digest = encoded.digest;
    return encoded.bytes;
  };
  // Behind a resumption all of them come again: the file does not say how far it had them, and what is known already changes nothing.
  let recordsAfter = own.kind === 'granted' ? 0 : undefined;
  await deps.assertWhole();
  await assertUncollected(deps, header);
  if (resume === undefined) yield Buffer.concat([magic, record('header', encodeHeader(header))]);
  for (;;) {
    signal.throwIfAborted();
    const page = await replica.feedPage(position, frontierZero, { recordsAfter, withHidersTo: groupBytesMax });
    position = page.position;
    if (page.records !== undefined && page.records.records.length > 0) {
      recordsAfter = page.records.number;
      yield record('records', encodeRecords(page.records.records));
    }
    if (page.writes.length > 0) {
      pages += 1;
      writes += page.writes.length;
      yield record('page', encodePage({ position, count: page.writes.length, writes: encodeWrites(page.writes) }));
    }
    if (page.end === undefined) continue;
    await deps.assertWhole();
    const floor = await assertUncollected(deps, header);
    yield record('trailer', encodeTrailer({ pages, writes, floor, frontier: page.end }));
    return;
  }
}

/**
 * The floor now. A delete that came after the backup began was accepted above its low; once the floor is there, it may have been collected
 * unseen, and the value that it took away is in an earlier page.
 */
async function assertUncollected({ replica, isAboveFloor }: BackupDeps, { floor: before, low }: BackupHeader): Promise<Stamp> {
  const floor = await replica.floor();
  if (compareStamps(floor, before) === 0 || isAboveFloor(low, floor)) return floor;
  throw new GkvError('below_floor', 'this backup has taken longer than deletes are remembered: begin a new one');
}
