import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { logTo } from '../../src/server/logTarget.ts';
import { realClock } from '../../src/server/real.ts';
import { TestClock } from '../support.ts';

/** What is in a pipe. */
function readAll(pipe: number): string {
  const chunk = Buffer.alloc(1 << 20);
  let text = '';
  for (;;) {
    try {
      text += chunk.toString('utf8', 0, readSync(pipe, chunk));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return text;
      throw error;
    }
  }
}

/** Calls with the open ends of a pipe that holds 64 KiB. */
function withPipe(work: (pipe: number) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-log-'));
  try {
    const path = join(dir, 'pipe');
    execFileSync('mkfifo', [path]);
    const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      work(pipe);
    } finally {
      closeSync(pipe);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('the log', () => {
  it('I9: a pipe that nobody empties holds a server up once, for a second; what does not fit is lost, and lines stay lines', () => {
    withPipe((pipe) => {
      const log = logTo(pipe, realClock);
      log.write('first\n');
      assert.equal(readAll(pipe), 'first\n');
      const startedMs = realClock.monotonic();
      log.write(`${'x'.repeat(200_000)}\n`);
      const leftMs = realClock.monotonic();
      assert.ok(leftMs - startedMs >= 900, String(leftMs - startedMs));
      for (let i = 0; i < 100; i += 1) log.write('lost\n');
      const lostMs = realClock.monotonic() - leftMs;
      assert.ok(lostMs < 500, String(lostMs));
      assert.match(readAll(pipe), /^x+$/);
      log.write('next\n');
      log.write('last\n');
      assert.equal(readAll(pipe), '\nnext\nlast\n');
    });
  });

  it('I9: a reader that takes little holds it up for a second in all, and for another once none had to wait for ten', () => {
    withPipe((pipe) => {
      const clock = new TestClock();
      const log = logTo(pipe, clock);
      const fill = `${'x'.repeat(100_000)}\n`;
      const waits = [0, 0, 11_000].map((restMs) => {
        clock.advance(restMs);
        const startedMs = realClock.monotonic();
        log.write(fill);
        readAll(pipe);
        return realClock.monotonic() - startedMs > 900;
      });
      assert.deepEqual(waits, [true, false, true]);
    });
  });

  it('a line that is lost whole leaves nothing', () => {
    withPipe((pipe) => {
      const log = logTo(pipe, realClock);
      const fills = `${'x'.repeat(65_535)}\n`;
      log.write(fills);
      log.write('lost\n');
      assert.equal(readAll(pipe), fills);
      log.write('next\n');
      assert.equal(readAll(pipe), 'next\n');
    });
  });

  it('a descriptor that is none loses lines, and throws nothing', () => {
    logTo(1_000_000, realClock).write('lost\n');
  });
});
