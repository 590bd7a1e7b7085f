import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasCode } from '../../src/core/errors.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { type Database, type Driver } from '../../src/store/fdb/driver.ts';
import { answerOf, type Answer, healthOf } from '../../src/store/fdb/health.ts';
import { Layout, partBytes, partsOfValue } from '../../src/store/fdb/layout.ts';

describe('FoundationDB’s adapter, without FoundationDB', () => {
  const layout = new Layout(Buffer.from('p'));

  it('keeps values below the part size whole, and cuts larger ones', () => {
    for (const [length, others] of [
      [0, 0],
      [partBytes - 1, 0],
      [partBytes, 0],
      [partBytes + 1, 1],
      [1_048_576, 11],
    ] as const) {
      const value = Buffer.alloc(length, 7);
      const cut = partsOfValue(value);
      assert.equal(cut.others.length, others);
      assert(Buffer.concat([cut.first, ...cut.others]).equals(value));
      assert(cut.others.every((part) => part.length > 0 && part.length <= partBytes));
    }
  });

  it('lays the parts of one key apart from those of every other, in the order of the keys', () => {
    const keys = ['a', 'a\0', 'a\0\0', 'a\0\x01', 'a\0\xff', 'a\x01', 'ab', 'b'].map((text) => Buffer.from(text, 'latin1'));
    const spans = keys.map((key) => layout.partsOf(key));
    spans.forEach((span, index) => {
      const next = spans[index + 1];
      assert(Buffer.compare(span.start, span.end) < 0);
      if (next !== undefined) assert(Buffer.compare(span.end, next.start) <= 0, `${index}`);
      for (const number of [1, 255]) {
        const part = layout.part(keys[index] ?? Buffer.of(), number);
        assert(Buffer.compare(span.start, part) <= 0 && Buffer.compare(part, span.end) < 0);
      }
    });
  });

  it('finds the parts of a range of keys, and no others', () => {
    const keys = ['a', 'a\0', 'a\0\xff', 'aa', 'b'].map((text) => Buffer.from(text, 'latin1'));
    for (const start of keys) {
      for (const end of keys) {
        const span = layout.partsIn({ start, end });
        for (const key of keys) {
          const part = layout.part(key, 3);
          const isIn = Buffer.compare(start, key) <= 0 && Buffer.compare(key, end) < 0;
          assert.equal(Buffer.compare(span.start, part) <= 0 && Buffer.compare(part, span.end) < 0, isIn);
        }
      }
    }
  });

  it('says what is wrong with a cluster that does not answer, and what to do', () => {
    assert.deepEqual(healthOf({ client: { database_status: { available: true, healthy: true } } }), {
      available: true,
      healthy: true,
      message: '',
    });
    const away = healthOf({ client: { database_status: { available: false }, coordinators: { quorum_reachable: false } } });
    assert.equal(away.available, false);
    assert.match(away.message, /quorum of its coordinators cannot be reached: check the cluster file/);
    const stuck = healthOf({
      client: { coordinators: { quorum_reachable: true }, messages: [{ description: 'Unable to locate a cluster controller.' }] },
    });
    assert.match(stuck.message, /fdbcli --exec status.*Unable to locate a cluster controller/);
    const sick = healthOf({
      client: { database_status: { available: true, healthy: false } },
      cluster: { messages: [{ description: 'Storage server lagging.' }, { name: 'no description' }] },
    });
    assert.deepEqual(sick, { available: true, healthy: false, message: 'Storage server lagging.' });
    for (const odd of [undefined, null, 7, [], { client: 'x' }]) assert.equal(healthOf(odd).available, false);
  });

  it('F8: tells a cluster that is locked from one that does not answer', async () => {
    class FDBError extends Error {
      readonly code: number;

      constructor(code: number) {
        super(`code ${code}`);
        this.code = code;
      }
    }
    const driver = { TransactionOptionCode: { Timeout: 500 } } as unknown as Driver; // all that is asked of it
    const answer = (getReadVersion: () => Promise<Buffer>): Promise<Answer> => {
      const native = { setOption: () => undefined, getReadVersion };
      return answerOf(driver, { rawCreateTransaction: () => native } as unknown as Database, realClock, 50); // as above
    };
    assert.equal(await answer(() => Promise.resolve(Buffer.alloc(8))), 'version');
    assert.equal(await answer(() => Promise.reject(new FDBError(1038))), 'locked');
    assert.equal(await answer(() => Promise.reject(new FDBError(1031))), 'none');
    assert.equal(await answer(() => new Promise<never>(() => undefined)), 'none');
    const locked = healthOf({
      client: { database_status: { available: true, healthy: true } },
      cluster: { database_lock_state: { locked: true, lock_uid: '00' } },
    });
    assert.deepEqual([locked.available, locked.healthy], [false, false]);
    assert.match(locked.message, /is locked.*fdbcli --exec "unlock UID"/);
    const open = { client: { database_status: { available: true, healthy: true } }, cluster: { database_lock_state: { locked: false } } };
    assert.equal(healthOf(open).healthy, true);
  });

  it('Li9: refuses what is no cluster file, or says that the client library is missing', async () => {
    const { openFdbStore } = await import('../../src/store/fdb/store.ts');
    const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-fdb-'));
    try {
      writeFileSync(join(dir, 'wrong'), 'no cluster file\n');
      for (const clusterFile of [join(dir, 'missing'), join(dir, 'wrong'), dir]) {
        await assert.rejects(
          openFdbStore({ clusterFile, prefix: Buffer.from('x'), clock: realClock, random: realRandom }),
          (error) => hasCode(error, 'bad_config') && /--fdb: .*(cluster file|client library)/.test(error.message),
        );
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
