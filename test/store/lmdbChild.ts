/** A process of its own around an LMDB store, told what to do by its arguments; what it says is read line by line. */
import { hasCode } from '../../src/core/errors.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { type Store } from '../../src/store/store.ts';
import { seededRandom, TestClock } from '../support.ts';
import { bytes, write } from './suite/stores.ts';

const [task = '', dir = '', uid] = process.argv.slice(2);
const writers = 8;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function open(): Promise<Store> {
  return openLmdbStore({ dir, clock: new TestClock(), random: seededRandom(process.pid) });
}

function codeOf(error: unknown): string {
  return hasCode(error) || (error instanceof Error && 'code' in error) ? String((error as { code: unknown }).code) : String(error);
}

/** Says each number once it is acknowledged; its two keys and its place in the log are one transaction. */
async function writeForever(store: Store): Promise<void> {
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = writer; ; n += writers) {
        const id = `${process.pid}-${n}`;
        await write(store, (tx) => {
          tx.set(bytes(`left/${id}`), Buffer.alloc(1 + ((n * 997) % 9_000), 1));
          tx.setVersionstampedKey(bytes('log/'), bytes(''), bytes(id));
          tx.set(bytes(`right/${id}`), bytes('1'));
          tx.add(bytes('count'), Buffer.of(1, 0, 0, 0));
        });
        say(id);
      }
    }),
  );
}

/** Writes until there is no room, then waits for a line that says there is some. */
async function fill(store: Store): Promise<void> {
  let written = 0;
  const value = Buffer.alloc(50_000, 1);
  for (;;) {
    try {
      await write(store, (tx) => {
        tx.set(bytes(`fill/${written}`), value);
      });
      written += 1;
    } catch (error) {
      say(`full ${codeOf(error)}`);
      break;
    }
  }
  const rows = await store.read((snapshot) => snapshot.range({ start: bytes('fill/'), end: bytes('fill0') }, { limit: 10_000 }));
  say(`kept ${String(rows.length === written)}`);
  await new Promise((resolve) => process.stdin.once('data', resolve));
  await write(store, (tx) => {
    tx.set(bytes('after'), value);
  });
  say('stored again');
  await store[Symbol.asyncDispose]();
}

/** Says of each of some writes, one after the other, whether it was acknowledged. */
async function writeSome(store: Store): Promise<void> {
  for (let at = 0; at < 12; at += 1) {
    try {
      await write(store, (tx) => {
        tx.set(bytes(`k${at}`), bytes('v'));
      });
      say('acknowledged');
    } catch (error) {
      say(codeOf(error));
    }
  }
}

async function run(): Promise<void> {
  if (uid !== undefined) process.setuid?.(Number(uid));
  let store: Store;
  try {
    store = await open();
  } catch (error) {
    say(codeOf(error));
    return;
  }
  say('open');
  if (task === 'write') await writeForever(store);
  else if (task === 'fill') await fill(store);
  else if (task === 'some') await writeSome(store);
  else if (task === 'one' || task === 'group') {
    const count = task === 'one' ? 1 : 20;
    await Promise.all(
      Array.from({ length: count }, async (_, at) => {
        await write(store, (tx) => {
          tx.set(bytes(`k${at}`), bytes('v'));
        });
        say(`acknowledged ${at}`);
      }),
    );
    await store[Symbol.asyncDispose]();
  } else {
    await new Promise((resolve) => process.stdin.once('end', resolve).resume());
    await store[Symbol.asyncDispose]();
  }
}

await run();
process.exit();
