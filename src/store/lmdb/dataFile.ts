import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { GkvError } from '../../core/errors.ts';

export const pageBytes = 4_096;

/** Where lmdb-js 3 keeps the meta record of the last synced commit: in the second half of the first page. */
const syncedMeta = pageBytes / 2;
/** In such a record, behind the page's header. */
const lastPageOffset = 144;
const transactionOffset = 152;
const recordBytes = 168;

/**
 * Refuses a data file that is shorter than its last commit. LMDB maps the file and does not look: reading beyond its
 * end kills the process.
 */
export function checkNotCutOff(path: string): void {
  if (!existsSync(path)) return;
  const fd = openSync(path, 'r');
  try {
    const record = Buffer.alloc(recordBytes);
    const { size } = fstatSync(fd);
    const isWhole = readSync(fd, record, 0, recordBytes, syncedMeta) === recordBytes;
    const neverSynced = record.readBigUInt64LE(transactionOffset) === 0n;
    const bytes = (record.readBigUInt64LE(lastPageOffset) + 1n) * BigInt(pageBytes);
    if (size > 0 && (!isWhole || (!neverSynced && bytes > BigInt(size)))) {
      throw new GkvError('corrupt', `${path} has ${size} bytes, and by its last commit at least ${bytes}`);
    }
  } finally {
    closeSync(fd);
  }
}
