import { equalBytes } from '../core/bytes.ts';
import { type ClusterPart } from '../core/frontier.ts';
import { type Transaction } from '../store/store.ts';
import { readCursor, setCursor, type FeedCursor } from './cursor.ts';
import { joinFrontier } from './frontier.ts';
import { readParkedCount } from './park.ts';
import { type FeedMove } from './proposal.ts';

/**
 * Moves the cursor in the commit that takes the page in and, where all that the peer had is here now, joins the peer's frontier. False, and nothing
 * moved, where the cursor is not where the page was asked from: somebody else follows this peer too.
 *
 * While anything that the peer sent is parked its frontier is not joined: a parked write may have replaced others, which we never saw.
 */
export async function moveCursor(tx: Transaction, move: FeedMove, peer: string, own: ClusterPart): Promise<boolean> {
  if (move.cursor !== undefined) {
    const stored = await readCursor(tx, move.peerId);
    if (!isSame(stored, move.cursor.from)) return false;
    if (!isSame(stored, move.cursor.to)) setCursor(tx, move.peerId, move.cursor.to);
  }
  if (move.joins === undefined) return true;
  const { writes } = await readParkedCount(tx, peer);
  if (writes === 0) await joinFrontier(tx, move.joins, own);
  return true;
}

function isSame(a: FeedCursor | undefined, b: FeedCursor | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.incarnation === b.incarnation && equalBytes(a.position, b.position);
}
