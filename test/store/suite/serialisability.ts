/** Concurrent random transactions: whatever the interleaving, the outcome is that of some order. */
import assert from 'node:assert/strict';
import { type Random } from '../../../src/core/ports.ts';
import { type Store } from '../../../src/store/store.ts';
import { seededRandom } from '../../support.ts';
import { bytes, type OpenStores, span, text, withStores, write } from './stores.ts';

const accounts = 8;
const opening = 100;
const clients = 8;
const transfersEach = 15;

export function describeSerialisability(open: OpenStores): void {
  describe('serialisability', () => {
    it(
      'moves money between accounts without making or losing any',
      withStores(open, async ({ store, other }) => {
        await write(store, (tx) => {
          for (let at = 0; at < accounts; at += 1) tx.set(account(at), bytes(String(opening)));
        });
        const random = seededRandom(1);
        const observers = Promise.all(
          [0, 1].map(async () => {
            for (let round = 0; round < 30; round += 1) assert.equal(await total(other), accounts * opening);
          }),
        );
        await Promise.all(
          Array.from({ length: clients }, async (_, client) => {
            for (let round = 0; round < transfersEach; round += 1) await transfer(client % 2 === 0 ? store : other, random);
          }),
        );
        await observers;
        assert.equal(await total(store), accounts * opening);
        const log = await store.read((snapshot) => snapshot.range(span('log/', 'log0'), { limit: 10_000 }));
        assert.equal(log.length, clients * transfersEach);
        assert.deepEqual(await replay(store), await balances(store), 'the log, in stamp order, explains the balances');
      }),
    );

    it(
      'never lets the last two of a pair be taken away',
      withStores(open, async ({ store, other }) => {
        const random = seededRandom(2);
        await Promise.all(
          Array.from({ length: clients }, async (_, client) => {
            for (let round = 0; round < 12; round += 1) {
              const pair = `pair/${Math.floor(random.fraction() * 3)}/`;
              await (client % 2 === 0 ? store : other).transact(async (tx) => {
                const there = await tx.range({ start: bytes(pair), end: bytes(`${pair}~`) }, { limit: 9 });
                const one = bytes(pair + (random.fraction() < 0.5 ? 'left' : 'right'));
                if (there.length === 2) tx.clear(one);
                else tx.set(one, bytes(''));
                tx.add(bytes('rounds'), Buffer.of(1, 0));
              });
            }
          }),
        );
        const rows = await store.read((snapshot) => snapshot.range(span('pair/', 'pair0'), { limit: 100 }));
        const pairsLeft = new Set(rows.map(({ key }) => text(key)!.slice(0, 7)));
        assert.equal(pairsLeft.size, 3, 'each pair keeps one');
        const rounds = await store.read((snapshot) => snapshot.get(bytes('rounds')));
        // Adds are not idempotent: an unknown commit that was made counts again.
        assert(Buffer.from(rounds!).readUInt16LE() >= clients * 12);
      }),
    );
  });
}

function account(at: number): Buffer {
  return bytes(`account/${at}`);
}

/** Logs itself under a versionstamp; a marker keeps a run after an unknown commit from doing it twice. */
async function transfer(store: Store, random: Random): Promise<void> {
  const pick = (): number => Math.floor(random.fraction() * accounts);
  const from = pick();
  const to = (from + 1 + Math.floor(random.fraction() * (accounts - 1))) % accounts;
  const marker = bytes(`done/${String(random.fraction())}`);
  await store.transact(async (tx) => {
    if ((await tx.get(marker)) !== undefined) return;
    const [held, holding] = await Promise.all([tx.get(account(from)), tx.get(account(to))]);
    const amount = Math.min(Number(text(held)), 7);
    tx.set(account(from), bytes(String(Number(text(held)) - amount)));
    tx.set(account(to), bytes(String(Number(text(holding)) + amount)));
    tx.set(marker, bytes(''));
    tx.setVersionstampedKey(bytes('log/'), bytes(''), bytes(`${from} ${to}`));
  });
}

async function balances(store: Store): Promise<number[]> {
  const rows = await store.read((snapshot) => snapshot.range(span('account/', 'account0'), { limit: 100 }));
  return rows.map(({ value }) => Number(text(value)));
}

async function total(store: Store): Promise<number> {
  return (await balances(store)).reduce((sum, balance) => sum + balance, 0);
}

async function replay(store: Store): Promise<number[]> {
  const held = Array.from({ length: accounts }, () => opening);
  const log = await store.read((snapshot) => snapshot.range(span('log/', 'log0'), { limit: 10_000 }));
  for (const { value } of log) {
    const [from = 0, to = 0] = text(value)!.split(' ').map(Number);
    const amount = Math.min(held[from]!, 7);
    held[from]! -= amount;
    held[to]! += amount;
  }
  return held;
}
