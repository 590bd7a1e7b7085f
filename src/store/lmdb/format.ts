import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GkvError } from '../../core/errors.ts';

/** Of the files in the data directory. A new number, and code that reads the old, when their layout changes. */
const storeFormat = 1;

export const dataFile = 'data.mdb';

/** Checks the format that the directory was written in, before anything else of it is read; writes it when it is new. */
export function settleFormat(dir: string): void {
  const path = join(dir, 'format');
  if (existsSync(path)) {
    const text = readFileSync(path, 'utf8');
    if (text !== `${storeFormat}\n`) {
      const found = JSON.stringify(text.trim());
      throw new GkvError('format_unknown', `${path} says ${found}; this version reads format ${storeFormat}`);
    }
  } else if (existsSync(join(dir, dataFile))) {
    throw new GkvError('format_unknown', `${dir} has a ${dataFile} but no format file: it is not gkvmesh's`);
  } else {
    const draft = join(dir, 'format.new');
    writeDurably(draft, `${storeFormat}\n`);
    renameSync(draft, path);
    syncPath(dir);
  }
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(path, 'w', 0o644);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes the directory's new names durable. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
