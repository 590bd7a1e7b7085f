/** The greatest time that a Date can hold. */
const dateMsMax = 8_640_000_000_000_000;

/** A time of a grant, in ms since the epoch, as operators read it: ISO 8601 in UTC, where a Date can hold it. */
export function timeText(ms: number): string {
  return ms > dateMsMax ? `${ms} ms` : new Date(ms).toISOString();
}
