/**
 * Keeps a second process away from a data directory; LMDB itself would let it in. The kernel drops the lock when the
 * process ends, however it ends.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { GkvError } from '../../core/errors.ts';
import { type Log } from '../../core/ports.ts';

/** What `flock -n` of util-linux and of busybox exits with when somebody else holds the lock. */
const heldStatus = 1;

/** Rejects with `data_locked` when another store, of this process or another, has the directory. */
export async function lockDirectory(dir: string, log: Log): Promise<AsyncDisposable> {
  const fd = openSync(join(dir, 'lock'), 'a', 0o644);
  // A flock belongs to the open file, which the child shares: it stays ours when the child has ended.
  const { status, error } = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  const release = (): Promise<void> => {
    closeSync(fd);
    return Promise.resolve();
  };
  if (status === 0) return { [Symbol.asyncDispose]: release };
  closeSync(fd);
  if (status === heldStatus) throw lockedBySomebody(dir);
  log.warn(
    { dir, status, cause: error?.message },
    'no usable flock program: the data directory is locked by a socket, which other containers do not see',
  );
  return await lockBySocket(dir);
}

/** A name in Linux' abstract namespace: bound by one process at a time, gone with it, and no file to clean up. */
async function lockBySocket(dir: string): Promise<AsyncDisposable> {
  const { dev, ino } = statSync(dir, { bigint: true });
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'EADDRINUSE' ? lockedBySomebody(dir) : cause);
    });
    server.listen({ path: `\0gkvmesh-data-${dev.toString(16)}-${ino.toString(16)}` }, resolve);
  });
  server.unref();
  return { [Symbol.asyncDispose]: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

function lockedBySomebody(dir: string): GkvError {
  return new GkvError('data_locked', `${dir} is in use by another process; stop that one, or use another directory`);
}
