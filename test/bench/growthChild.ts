/**
 * Child: `DIR SECONDS COUNT...`. Fills one store to each count in turn and tells the rate of 64 writers of single keys, half of them
 * present and half of them new between those. Each is beside a fresh store of the first count, for what the machine did meanwhile.
 */
import { type Instance, openInstance, setOp, tell, writeMany } from './instance.ts';
import { keyText } from './keys.ts';

const [dir = '', secondsText, ...countTexts] = process.argv.slice(2);
const seconds = Number(secondsText);
const counts = countTexts.map(Number);
const smallest = counts[0] ?? 0;
const writers = 64;

const growing = await openInstance({ dir: `${dir}/growing`, cluster: 1, tree: 'kept' });
let present = 0;
await warmUp();
for (const count of counts) {
  const from = present;
  await writeMany(growing, count - from, (n) => (from + n) * 2);
  present = count;
  const base = await fresh(count);
  tell({ count, base, perSecond: await rate(growing, count) });
}
await growing[Symbol.asyncDispose]();

async function fresh(before: number): Promise<number> {
  const small = await openInstance({ dir: `${dir}/small-${before}`, cluster: 2, tree: 'kept' });
  await writeMany(small, smallest, (n) => n * 2);
  const perSecond = await rate(small, smallest);
  await small[Symbol.asyncDispose]();
  return perSecond;
}

async function warmUp(): Promise<void> {
  await fresh(0);
}

/** Sets a second, by 64 writers that each wait for an answer. */
async function rate({ replica }: Instance, count: number): Promise<number> {
  const started = performance.now();
  const until = started + seconds * 1_000;
  let done = 0;
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (performance.now() < until) {
        await replica.write([setOp(keyText(Math.floor(Math.random() * count * 2)))]);
        done += 1;
      }
    }),
  );
  return (done * 1_000) / (performance.now() - started);
}
