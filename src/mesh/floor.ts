import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, noInstance, physicalMsOf, stampZero, type Stamp } from '../core/stamp.ts';

/** The floor moves in steps of this part of a day, so that members collect the same at about the same time. */
const stepsPerDay = 24;

/**
 * horizon = least low − `staleMsMax`, since no more lies between a version and the stamp under which it was accepted; floor = (horizon − 1 day) rounded down to the hour. `dayMs` is the mesh's day; tests shorten it. Undefined where
 * that is before the beginning of time.
 */
export function floorOf(lows: readonly Stamp[], dayMs: number): Stamp | undefined {
  const [least] = [...lows].sort(compareStamps);
  if (least === undefined) return undefined;
  const stepMs = Math.max(1, Math.floor(dayMs / stepsPerDay));
  const ms = Math.floor((horizonOf(least) - dayMs) / stepMs) * stepMs;
  return ms <= 0 ? undefined : makeStamp(ms, 0, noInstance);
}

/**
 * False for what no floor can be: later than a day before our wall clock, by more than clocks may differ. Whoever says so lies, or has another day
 * than we do.
 */
export function isPlausibleFloor(floor: Stamp, dayMs: number, nowMs: number): boolean {
  return physicalMsOf(floor) <= nowMs + limits.futureMsMax - dayMs;
}

/** True where a cluster that has everything up to `low` lacks nothing that a floor counts on. */
export function isAboveFloor(low: Stamp, floor: Stamp): boolean {
  return compareStamps(floor, stampZero) === 0 || horizonOf(low) >= physicalMsOf(floor);
}

function horizonOf(low: Stamp): number {
  return physicalMsOf(low) - limits.staleMsMax;
}

/** True where a cluster's claims are known to be older than the floor allows. One that claims nothing is new, and is not too old. */
export function isTooOld(low: Stamp, floor: Stamp): boolean {
  return compareStamps(low, stampZero) !== 0 && !isAboveFloor(low, floor);
}
