import { equalBytes } from '../core/bytes.ts';
import { cappedFrontier, type ClusterPart } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { makeStamp, noInstance } from '../core/stamp.ts';
import { type Transaction } from '../store/store.ts';
import { readCursor, setCursor, type FeedCursor } from './cursor.ts';
import { noteReached } from './ended.ts';
import { joinFrontier } from './frontier.ts';
import { clearLapse } from './lapsed.ts';
import { readParkedCount } from './park.ts';
import { type FeedMove } from './proposal.ts';

/**
 * Moves the cursor in the commit that takes the page in and, where all that the peer had is here now, joins the peer's frontier. False, and nothing
 * moved, where the cursor is not where the page was asked from: somebody else follows this peer too.
 *
 * While anything that the peer sent is parked its frontier is not joined: a parked write may have replaced others, which we never saw. No more is
 * joined than reaches as far ahead of our wall clock as writes may: no clock that is wrong, and no lie, makes us pass over writes for longer.
 *
 * Of a peer that has lapsed only what an exchange has shown is joined: what was given up of it comes by no feed again.
 */
export async function moveCursor(
  tx: Transaction,
  move: FeedMove,
  peer: string,
  { own, nowMs, hasLapsed }: { readonly own: ClusterPart; readonly nowMs: number; readonly hasLapsed: boolean },
): Promise<boolean> {
  if (move.cursor !== undefined) {
    const stored = await readCursor(tx, move.peerId);
    if (!isSame(stored, move.cursor.from)) return false;
    if (!isSame(stored, move.cursor.to)) setCursor(tx, move.peerId, move.cursor.to);
  }
  if (move.joins === undefined) return true;
  const { writes } = await readParkedCount(tx, peer);
  if (writes > 0) return true;
  if (hasLapsed && move.cursor !== undefined) return true;
  await joinFrontier(tx, cappedFrontier(move.joins, makeStamp(nowMs + limits.futureMsMax, 0, noInstance)), own);
  if (hasLapsed) await clearLapse(tx, peer, move.lapse);
  if (move.reached !== undefined) await noteReached(tx, move.reached);
  return true;
}

function isSame(a: FeedCursor | undefined, b: FeedCursor | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.incarnation === b.incarnation && equalBytes(a.position, b.position);
}
