import { compareStamps, physicalMsOf, stampZero, type Stamp } from '../core/stamp.ts';
import { uuidText } from '../core/uuid.ts';
import { type MeshView } from '../mesh/view.ts';

/** What is level may be some 20 s old: of who writes nothing the closed stamp comes seldom. */
const levelMs = 60_000;

/**
 * The ids of the clusters that must be heard, come level or be removed before the floor goes on (M15): those of whose own writes not all of the last minute are here, those that are
 * more than that further behind than we are, and those that are being filled, or whose removal is not settled. Nobody while all is level. `nowMs`: by the wall clock.
 */
export function floorHolders({ origins, members, unreadable, joining, removed }: MeshView, nowMs: number): string[] {
  const leastMs = Math.min(...origins.map(({ closed }) => msOf(closed)));
  const unheard = origins.filter(({ closed }) => msOf(closed) < nowMs - levelMs);
  const lows = [...members.map(({ record, low }) => ({ clusterId: record.clusterId, low })), ...unreadable];
  const behind = lows.filter(({ low }) => isNothing(low) || msOf(low) < Math.min(leastMs, nowMs) - levelMs);
  const unsettled = removed.filter(({ settled }) => !settled);
  return [...new Set([...unheard, ...behind, ...joining, ...unsettled].map(({ clusterId }) => uuidText(clusterId)))];
}

function msOf(stamp: Stamp | undefined): number {
  return stamp === undefined ? 0 : physicalMsOf(stamp);
}

/** Zero is what is said before everybody was heard. */
function isNothing(low: Stamp | undefined): boolean {
  return low === undefined || compareStamps(low, stampZero) === 0;
}
