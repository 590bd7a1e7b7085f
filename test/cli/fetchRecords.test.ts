import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchRecords, type Fetched } from '../../src/cli/fetchRecords.ts';
import { MeshDirectory } from '../../src/cli/meshDirectory.ts';
import { RecordFiles, writeRecord } from '../../src/cli/recordFiles.ts';
import { Client } from '../../src/client/client.ts';
import { toHex } from '../../src/core/bytes.ts';
import { recordText, type AnyRecord } from '../../src/grant/anyRecord.ts';
import { grantLayout } from '../../src/grant/grant.ts';
import { authorise } from '../../src/grant/authorise.ts';
import { grantLimits } from '../../src/grant/limits.ts';
import { ledgerBounds } from '../../src/grant/places.ts';
import { parseKey } from '../../src/core/key.ts';
import { signStatement } from '../../src/grant/record.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';

const mesh = new Mesh();
const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const held = mesh.grant('a', always);
const given = mesh.given(held, 'a', 'b');
const below = mesh.given(given, 'b', 'c');
const ended = mesh.revocation(given, 'a');
const all = [mesh.root, held, given, below, ended].map(anyOf);

const nameOf = ({ kind, record }: AnyRecord): string => `${toHex(record.id)}.${kind}`;

/** A record as an instance tells it. */
interface Told {
  number: number;
  kind: string;
  record: string;
}

function told(records: readonly AnyRecord[]): Told[] {
  return records.map((any, i) => {
    const [kind = '', record = ''] = recordText(any).split(':');
    return { number: i + 1, kind, record };
  });
}

describe('K20: K21: T46: gkvmesh grant fetch', () => {
  const servers: Server[] = [];
  let dir: string;
  let asked: number;

  beforeEach(() => {
    asked = 0;
    dir = mkdtempSync(join(tmpdir(), 'gkvmesh-fetch-'));
    mkdirSync(join(dir, 'records'));
    writeFileSync(join(dir, 'mesh-id'), `${toHex(mesh.id)}\n`);
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
    rmSync(dir, { recursive: true });
  });

  /** A server of nothing but what is given. */
  async function serve(page: (after: number) => object | string, meshId = toHex(mesh.id)): Promise<string> {
    const server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
      if (pathname === '/mesh_id') {
        response.end(meshId);
        return;
      }
      asked += 1;
      const answer = page(Number(searchParams.get('after')));
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function fetchFrom(url: string, bounds = ledgerBounds): Promise<Fetched> {
    await using client = new Client(url);
    return await fetchRecords(client, await MeshDirectory.open(dir), bounds);
  }

  const fetched = async (records: readonly Told[]): Promise<Fetched> => fetchFrom(await serve(() => ({ records, next: null })));
  const files = (): string[] => readdirSync(join(dir, 'records')).sort();
  const keeps = (...records: AnyRecord[]): void => {
    for (const any of records) writeRecord(join(dir, 'records'), any);
  };

  it('takes all in, from nothing but the mesh id, each to a file as the directory has them, and does nothing the second time', async () => {
    const url = await serve((after) => ({ records: told(all).slice(after, after + 2), next: after + 2 < all.length ? after + 2 : null }));
    assert.deepEqual(await fetchFrom(url), { added: 5, known: 0, refused: 0, reasons: [] });
    assert.equal(asked, 3);
    assert.deepEqual(files(), all.map(nameOf).sort());
    for (const any of all) {
      const path = join(dir, 'records', nameOf(any));
      assert.equal(readFileSync(path, 'utf8'), `${recordText(any)}\n`);
      assert.equal(statSync(path).mode & 0o133, 0);
    }
    const { authority, refused } = await MeshDirectory.open(dir);
    const can = (id: Uint8Array): string => {
      const answer = authorise(authority, id, { right: 'write', key: parseKey(Buffer.from('k')), atMs: Date.now() });
      return answer.kind === 'refused' ? answer.refusal.code : answer.kind;
    };
    assert.deepEqual([can(held.id), can(given.id), can(below.id), refused], ['allowed', 'grant_revoked', 'grant_revoked', []]);
    const before = files().map((name) => statSync(join(dir, 'records', name)).ino);
    assert.deepEqual(await fetchFrom(url), { added: 0, known: 5, refused: 0, reasons: [] });
    assert.deepEqual(
      files().map((name) => statSync(join(dir, 'records', name)).ino),
      before,
    );
  });

  it('writes what ends grants before any grant: cut short, nothing that has ended seems to stand', async () => {
    const directory = await MeshDirectory.open(dir);
    mkdirSync(join(dir, 'records', nameOf(anyOf(held)))); // where it is cut short
    assert.throws(() => directory.keep([mesh.root, held, given, ended].map(anyOf)));
    assert.deepEqual(files(), [mesh.root, ended, held].map(anyOf).map(nameOf).sort());
  });

  it('adds what is new to what is there, whatever the directory alone knows', async () => {
    const own = mesh.grant('d');
    keeps(...[mesh.root, held, own].map(anyOf));
    assert.deepEqual(await fetched(told(all)), { added: 3, known: 2, refused: 0, reasons: [] });
    assert.equal((await MeshDirectory.open(dir)).authority.grants().length, 4);
  });

  it('a file that waited for what is fetched is known, and is not written again', async () => {
    keeps(...[mesh.root, given].map(anyOf));
    assert.deepEqual(await fetched(told([mesh.root, held, given].map(anyOf))), { added: 1, known: 2, refused: 0, reasons: [] });
    assert.deepEqual((await MeshDirectory.open(dir)).refused, []);
  });

  it('a second revocation of one grant changes nothing, however often it comes', async () => {
    const byRoot = mesh.revocationByRoot(given);
    keeps(...all);
    const before = files();
    for (let i = 0; i < 2; i += 1)
      assert.deepEqual(await fetched(told([...all.slice(0, 4), anyOf(byRoot)])), { added: 0, known: 5, refused: 0, reasons: [] });
    assert.deepEqual(files(), before);
  });

  it('a grant that is known changes nothing by other signatures, but those that do not hold are refused', async () => {
    const two = new Mesh(['root', 'second']);
    writeFileSync(join(dir, 'mesh-id'), `${toHex(two.id)}\n`);
    const first = two.grant('a', always);
    const signedBy = (name: string): AnyRecord => anyOf(signStatement(grantLayout, two.id, first.body, [person(name)]));
    keeps(...[two.root, first].map(anyOf));
    const before = files();
    for (const [any, counts] of [
      [signedBy('second'), { added: 0, known: 2, refused: 0 }],
      [anyOf(signStatement(grantLayout, mesh.id, first.body, [person('second')])), { added: 0, known: 1, refused: 1 }],
    ] as const) {
      const { reasons, ...found } = await fetchFrom(
        await serve(() => ({ records: told([anyOf(two.root), any]), next: null }), toHex(two.id)),
      );
      assert.deepEqual([found, reasons.length], [counts, counts.refused]);
    }
    assert.deepEqual(files(), before);
  });

  it('an instance of another mesh is mesh_mismatch, by its own word, before it is asked for a record', async () => {
    const url = await serve(() => ({ records: told(all), next: null }), 'ab'.repeat(32));
    await assert.rejects(fetchFrom(url), { code: 'mesh_mismatch' });
    assert.deepEqual([asked, files()], [0, []]);
  });

  it('what does not hold is refused and counted, and nothing of it is written: another mesh’s, a changed byte, an unknown issuer, no record', async () => {
    const other = new Mesh(['other']);
    const foreign = other.grant('a', always);
    const stranger = mesh.given(mesh.grant('x'), 'x', 'y'); // whose parent nobody told
    const [root, good] = told([mesh.root, held].map(anyOf)) as [Told, Told];
    const bytes = Buffer.from(good.record, 'base64'); // before the right one comes
    bytes[bytes.length - 1]! ^= 1;
    const lines = [
      root,
      ...told([other.root, foreign, stranger].map(anyOf)),
      { number: 0, kind: 'grant', record: bytes.toString('base64') },
      { number: 0, kind: 'revocation', record: good.record },
      { number: 0, kind: '../../x', record: good.record },
      { number: 0, kind: 'grant', record: `${good.record}=` },
      { number: 0, kind: 'grant:', record: '' },
      { number: 0, kind: 'grant', record: 'A'.repeat(70_000) },
      good,
    ].map((line, i) => ({ ...line, number: i + 1 }));
    const { reasons, ...counts } = await fetched(lines);
    const codes = reasons.map((reason) => /^record \d+: ([a-z_]+): /.exec(reason)?.[1] ?? '');
    // Of the other mesh's grant the root's key did not sign the id that it has in ours.
    assert.deepEqual(codes.slice(0, 3), ['grant_signature', 'grant_signature', 'grant_unknown']);
    assert.deepEqual(codes.slice(3), ['grant_signature', 'malformed', 'malformed', 'malformed', 'malformed', 'too_large']);
    assert.deepEqual(counts, { added: 2, known: 0, refused: 9 });
    assert.deepEqual(files(), [mesh.root, held].map(anyOf).map(nameOf).sort());
    assert.deepEqual(readdirSync(dir).sort(), ['mesh-id', 'records']);
  });

  it('I9: of very many that are refused ten are told', async () => {
    const bad = Array.from({ length: 50 }, (_, i) => ({ number: i + 1, kind: 'grant', record: '' }));
    const { reasons, refused } = await fetched(bad);
    assert.deepEqual([reasons.length, refused], [10, 50]);
  });

  it('never overwrites a file that holds something else, and says which it is', async () => {
    keeps(...[mesh.root, held].map(anyOf));
    const changed = { ...given, signatures: given.signatures.map(({ key }) => ({ key, signature: new Uint8Array(64).fill(7) })) };
    keeps(anyOf(changed)); // under the right name, with a signature that does not hold
    const path = join(dir, 'records', nameOf(anyOf(given)));
    const before = readFileSync(path);
    const { reasons, ...counts } = await fetched(told(all));
    assert.deepEqual(counts, { added: 2, known: 2, refused: 1 });
    assert.match(reasons[0] ?? '', new RegExp(`^${nameOf(anyOf(given))}: .*move it away`));
    assert.deepEqual(readFileSync(path), before);
  });

  it('I9: pages without end, gaps, steps back, and pages that are none end it with unavailable, and nothing is written', async () => {
    const [first] = told(all) as [Told];
    for (const page of [
      () => ({ records: [], next: 0 }),
      (after: number) => ({ records: [{ ...first, number: after + 1 }], next: 0 }),
      () => ({ records: [first], next: 1 }),
      () => ({ records: [{ ...first, number: 2 }], next: null }),
      () => ({ records: [first], next: 7 }),
      () => ({ records: Array.from({ length: 201 }, (_, i) => ({ ...first, number: i + 1 })), next: null }),
      () => ({ records: [{ ...first, number: '1' }], next: null }),
      () => ({ records: [first] }),
      () => [],
      () => 'no JSON',
      () => JSON.stringify({ records: [{ ...first, record: 'A'.repeat(17_000_000) }], next: null }),
    ]) {
      await assert.rejects(fetchFrom(await serve(page)), { code: 'unavailable' });
      assert.deepEqual(files(), []);
    }
  });

  it('I9: as many records are asked for as a ledger may have, and no more', async () => {
    const [{ kind, record }] = told(all) as [Told];
    const url = await serve((after) => ({
      records: Array.from({ length: 200 }, (_, i) => ({ number: after + 1 + i, kind, record })),
      next: after + 200,
    }));
    await assert.rejects(fetchFrom(url), { code: 'unavailable', message: /65536/ });
    assert.deepEqual([asked, files()], [328, []]);
  });

  it('I9: K9: T19: a delegate who gives very many leaves room for the revocations of all: what a ledger has no room for is refused', async () => {
    const gifts = Array.from({ length: 6 }, () => mesh.given(held, 'a', 'b'));
    keeps(...[mesh.root, held, ...gifts.slice(0, 2)].map(anyOf));
    const url = await serve(() => ({ records: told([mesh.root, held, ...gifts, mesh.revocation(gifts[0]!, 'a')].map(anyOf)), next: null }));
    const bounds = { ...ledgerBounds, followingMax: 4, followingOursMax: 1 };
    const { reasons, ...counts } = await fetchFrom(url, bounds);
    assert.deepEqual(counts, { added: 3, known: 4, refused: 2 });
    for (const reason of reasons) assert.match(reason, /^record \d+: grant_limit: /);
  });

  it('I9: a directory has so many files of records and no more: else nothing is written, and it can be read afterwards', async () => {
    const directory = await MeshDirectory.open(dir);
    const many = Array.from({ length: grantLimits.recordsMax + 1 }, () => anyOf(held));
    assert.throws(() => directory.keep(many), { code: 'too_large' });
    assert.deepEqual(files(), []);
    assert.deepEqual((await new RecordFiles(join(dir, 'records'), mesh.id).news()).wrong, []);
  });

  it('a server that watches the directory takes in what was fetched as what an operator puts there', async () => {
    keeps(...[mesh.root, held].map(anyOf));
    const watched = new RecordFiles(join(dir, 'records'), mesh.id);
    await watched.news();
    await fetched(told(all));
    const { records, wrong } = await watched.news();
    const ids = records.map(({ record }) => toHex(record.id));
    for (const { record } of all.slice(2)) assert.ok(ids.includes(toHex(record.id)));
    assert.deepEqual(wrong, []);
  });
});
