import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { ByteReader } from '../../src/core/bytes.ts';
import { ByteWriter } from '../../src/core/byteWriter.ts';
import { readFrontier, writeFrontier } from '../../src/core/frontier.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { epochOf } from '../../src/mesh/epoch.ts';
import { decodeFeedAnswer, decodeFeedAsk, encodeFeedAnswer, encodeFeedAsk } from '../../src/mesh/feedMessage.ts';
import { readStatement, writeStatement } from '../../src/mesh/statement.ts';
import { readCursor, setCursor } from '../../src/replica/cursor.ts';
import { decodeWrites, encodeWrites } from '../../src/replica/wire.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { openInstance } from '../aae/world.ts';
import { meshVectors } from './mesh.ts';
import { clusterId, meshId, meshKey } from './samples.ts';

const vectors = JSON.parse(readFileSync(new URL('mesh.json', import.meta.url), 'utf8')) as Record<string, string>; // checked below
const bytesOf = (name: string): Buffer => Buffer.from(vectors[name] ?? '', 'hex');
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const digests = new MeshDigests({ id: meshId, key: meshKey });

function written(write: (out: ByteWriter) => void): string {
  const out = new ByteWriter(1);
  write(out);
  return hexOf(out.done());
}

describe('vectors of feeds', () => {
  it('the file is what the generator makes by hand', () => {
    assert.deepEqual(vectors, meshVectors());
  });

  it('M2: frontier', () => {
    const frontier = readFrontier(new ByteReader(bytesOf('frontier'), 'frontier'));
    assert.deepEqual([...frontier.keys()], ['000000000001', 'a1b2c3d4e5f6']);
    assert.deepEqual([...(frontier.get('a1b2c3d4e5f6')?.slots.keys() ?? [])], [0, 255]);
    const turned = new Map([...frontier].reverse());
    assert.equal(
      written((out) => {
        writeFrontier(out, turned);
      }),
      vectors['frontier'],
      'whatever the order in memory',
    );
  });

  it('M3: statement', () => {
    const statement = readStatement(new ByteReader(bytesOf('statement'), 'statement'));
    assert.deepEqual([statement.wallMs, statement.members.length, statement.members[1]?.incarnation], [1_700_000_000_789, 2, 0xffff_ffff]);
    assert.equal(
      written((out) => {
        writeStatement(out, statement);
      }),
      vectors['statement'],
    );
  });

  it('M29: epoch', () => {
    const unreadable = ['ffeeddccbbaa99887766554433221100'];
    const removed = [{ clusterId: Buffer.alloc(16, 0xee), incarnation: 2, removal: '5d02', settled: true }];
    const records = [{ clusterId, address: { host: 'h', port: 1 }, upstreams: undefined, regionName: 'a' }];
    assert.equal(hexOf(epochOf({ records, joining: [], unreadable, removed })), vectors['epochOfThree']);
  });

  it('M1: ask and pages', () => {
    const ask = decodeFeedAsk(bytesOf('ask'));
    assert.deepEqual([ask.waitMs, ask.cursor.incarnation, ask.frontier.size], [10_000, 3, 2]);
    assert.equal(hexOf(encodeFeedAsk(ask)), vectors['ask']);
    for (const [name, ends, behind] of [
      ['pageAtEnd', true, undefined],
      ['pageBefore', false, undefined],
      ['pageCounted', false, 700],
    ] as const) {
      const page = decodeFeedAnswer(bytesOf(name));
      assert.deepEqual([page.end !== undefined, page.behind], [ends, behind]);
      assert.deepEqual(
        decodeWrites(page.writes, digests).map(({ write }) => Buffer.from(write.value).toString()),
        ['yo'],
      );
      assert.equal(hexOf(encodeFeedAnswer(page)), vectors[name]);
    }
  });

  it('M32: R2: ask and pages of a granted mesh', () => {
    const ask = decodeFeedAsk(bytesOf('askGranted'), 'granted');
    assert.deepEqual(ask.records, { incarnation: 3, number: 7 });
    assert.equal(hexOf(encodeFeedAsk(ask)), vectors['askGranted']);
    const records = decodeFeedAnswer(bytesOf('pageOfRecords'), 'granted');
    assert.deepEqual([records.records?.number, records.records?.records.map(hexOf)], [9, ['0161', '026263']]);
    assert.equal(hexOf(encodeFeedAnswer(records)), vectors['pageOfRecords']);
    const page = decodeFeedAnswer(bytesOf('pageGranted'), 'granted');
    const writes = decodeWrites(page.writes, new MeshDigests({ id: meshId, key: meshKey, kind: 'granted' }));
    assert.deepEqual(
      writes.map(({ write }) => [hexOf(write.leaf), write.signature.length]),
      [['ab'.repeat(32), 100]],
    );
    assert.equal(hexOf(encodeWrites(writes)), hexOf(page.writes));
    assert.equal(hexOf(encodeFeedAnswer(page)), vectors['pageGranted']);
  });

  it('M1: frames of a feed have labels of their own', () => {
    const request = decodeRequest(bytesOf('request'), digests, 'feed');
    assert.equal(hexOf(request.body), vectors['ask']);
    assert.equal(hexOf(encodeRequest(request.header, request.body, digests, 'feed')), vectors['request']);
    const answer = decodeAnswer(bytesOf('answer'), bytesOf('request'), digests, 'feed');
    assert.equal(hexOf(answer.body), vectors['pageAtEnd']);
    assert.equal(hexOf(encodeAnswer(answer, request, digests, 'feed')), vectors['answer']);
    assert.throws(() => decodeRequest(bytesOf('request'), digests, 'exchange'), /not authentic/);
    assert.throws(() => decodeAnswer(bytesOf('answer'), bytesOf('request'), digests, 'exchange'), /not authentic/);
  });

  it('R17: the row of a cursor', async () => {
    const { store } = await openInstance();
    const cursor = { incarnation: 3, position: bytesOf('cursor').subarray(8) };
    await store.transact((tx) => {
      setCursor(tx, clusterId, cursor);
      return Promise.resolve();
    });
    const row = await store.read((snapshot) => snapshot.get(storeKey(tables.cursor, clusterId)));
    assert.equal(hexOf(row ?? new Uint8Array(0)), vectors['cursor']);
    const read = await store.read((snapshot) => readCursor(snapshot, clusterId));
    assert.deepEqual([read?.incarnation, hexOf(read?.position ?? new Uint8Array(0))], [3, hexOf(cursor.position)]);
  });
});
