import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RecordFiles, writeRecord } from '../../src/cli/recordFiles.ts';
import { toHex } from '../../src/core/bytes.ts';
import { recordText } from '../../src/grant/anyRecord.ts';
import { anyOf, Mesh } from '../grant/world.ts';

const mesh = new Mesh();

describe('T18: the records of a mesh directory', () => {
  let folder: string;
  let files: RecordFiles;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gkvmesh-records-'));
    files = new RecordFiles(folder, mesh.id);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a look brings: ids of records, and codes of errors. */
  async function look(): Promise<[readonly string[], readonly string[]]> {
    const { records, wrong } = await files.news();
    for (const { message } of wrong) assert.ok(message.includes(folder), message);
    return [records.map(({ record }) => toHex(record.id)), wrong.map(({ code }) => code)];
  }

  function write(name: string, text: string): void {
    writeFileSync(join(folder, name), text);
  }

  it('come once, in the order of their names, and again when they are written anew; other files are none of it', async () => {
    const grants = [mesh.grant('a'), mesh.grant('b'), mesh.grant('c')];
    for (const grant of grants) writeRecord(folder, anyOf(grant));
    write('notes.txt', 'x');
    write('ab.grant.0a0b0c0d', 'a draft');
    const ids = grants.map(({ id }) => toHex(id)).sort();
    assert.deepEqual(await look(), [ids, []]);
    assert.deepEqual(await look(), [[], []]);
    const [first] = grants;
    assert.ok(first);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the clock of a file system may go in steps of some ms
    writeRecord(folder, anyOf(first));
    const later = mesh.grant('d');
    writeRecord(folder, anyOf(later));
    assert.deepEqual(await look(), [[toHex(first.id), toHex(later.id)].sort(), []]);
    assert.deepEqual(await look(), [[], []]);
  });

  it('a pipe with the name of a record is told of once, and keeps nothing back: to read it would have no end', async () => {
    execFileSync('mkfifo', [join(folder, 'a.grant')]);
    const grant = mesh.grant('a');
    writeRecord(folder, anyOf(grant));
    assert.deepEqual(await look(), [[toHex(grant.id)], ['bad_config']]);
    assert.deepEqual(await look(), [[], []]);
  });

  it('a file that is wrong is told of once, until it changes, and keeps nothing back, whatever is wrong with it', async () => {
    const grant = mesh.grant('a');
    const text = `${recordText(anyOf(grant))}\n`;
    write('half.grant', text.slice(0, text.length / 2));
    write('long.revocation', 'x'.repeat(65_538));
    mkdirSync(join(folder, 'no-file.grant'));
    assert.deepEqual(await look(), [[], ['malformed', 'too_large', 'bad_config']]);
    assert.deepEqual(await look(), [[], []]);
    writeRecord(folder, anyOf(grant));
    assert.deepEqual(await look(), [[toHex(grant.id)], []]);
    write('half.grant', 'otherwise');
    assert.deepEqual(await look(), [[], ['malformed']]);
    write('half.grant', text);
    rmdirSync(join(folder, 'no-file.grant'));
    write('no-file.grant', text);
    assert.deepEqual(await look(), [[toHex(grant.id), toHex(grant.id)], []]);
    assert.deepEqual(await look(), [[], []]);
  });

  it('a folder that cannot be read is told of once, and all is there when it can', async () => {
    const grant = mesh.grant('a');
    writeRecord(folder, anyOf(grant));
    const away = `${folder}-away`;
    renameSync(folder, away);
    assert.deepEqual(await look(), [[], ['bad_config']]);
    assert.deepEqual(await look(), [[], []]);
    renameSync(away, folder);
    assert.deepEqual(await look(), [[toHex(grant.id)], []]);
    renameSync(folder, away);
    assert.deepEqual(await look(), [[], ['bad_config']]);
    renameSync(away, folder);
  });

  it('I9: of thousands a look leaves turns to others, and sees at once what is new or renamed, and soon what is written in place', async () => {
    const count = 1_300;
    const nameOf = (i: number): string => `${String(i).padStart(4, '0')}.grant`;
    for (let i = 0; i < count; i += 1) write(nameOf(i), 'x');
    let turns = 0;
    let isLooking = true;
    const turn = (): void => {
      turns += 1;
      if (isLooking) setImmediate(turn);
    };
    setImmediate(turn);
    assert.equal((await files.news()).wrong.length, count);
    isLooking = false;
    assert.ok(turns > count / 50, `${turns} turns`);
    const [made, renamed] = [mesh.grant('a'), mesh.grant('b')];
    write('new.grant', recordText(anyOf(made)));
    assert.deepEqual(await look(), [[toHex(made.id)], []]);
    await new Promise((resolve) => setTimeout(resolve, 20)); // as above
    write('draft', recordText(anyOf(renamed)));
    renameSync(join(folder, 'draft'), join(folder, nameOf(count - 1)));
    assert.deepEqual(await look(), [[toHex(renamed.id)], []]);
    for (const i of [0, count - 2]) {
      write(nameOf(i), 'in place');
      let looks = 0;
      for (let told = 0; told === 0; looks += 1) told = (await files.news()).wrong.length;
      assert.ok(looks <= 4, `${looks} looks`);
    }
    for (let i = 0; i < count - 1; i += 1) write(nameOf(i), 'once more');
    const parts: number[] = [];
    for (let left = count - 1; left > 0; left -= parts.at(-1) ?? 0) parts.push((await files.news()).wrong.length);
    assert.ok(Math.max(...parts) <= 1_000, `${parts.join()} seen`);
  });
});
