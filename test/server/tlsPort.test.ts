import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { silentLog, type Log } from '../../src/core/ports.ts';
import { type TlsFiles } from '../../src/server/tlsFiles.ts';
import { TlsPort } from '../../src/server/tlsPort.ts';
import { ManualClock, until } from '../support.ts';
import { fixture, pem, tlsFiles, type Leaf } from '../tls.ts';

const lookMs = 5_000;
const dayMs = 86_400_000;

interface Line {
  readonly level: 'error' | 'warn' | 'info';
  readonly message: string;
}

describe('TlsPort', () => {
  let dir: string;
  let lines: Line[];
  let log: Log;
  let clock: ManualClock;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'gkvmesh-tls-'));
    lines = [];
    const at = (level: Line['level']) => (_fields: object, message: string) => {
      lines.push({ level, message });
    };
    log = { ...silentLog, error: at('error'), warn: at('warn'), info: at('info') };
    clock = new ManualClock();
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  function filesIn(folder: string): TlsFiles {
    return tlsFiles('mesh', join(folder, 'tls.crt'), join(folder, 'tls.key'), join(folder, 'ca.crt'));
  }
  function put(folder: string, leaf: Leaf): void {
    mkdirSync(folder, { recursive: true });
    copyFileSync(fixture(`${leaf}.pem`), join(folder, 'tls.crt'));
    copyFileSync(fixture(`${leaf}.key`), join(folder, 'tls.key'));
    copyFileSync(fixture('ca.pem'), join(folder, 'ca.crt'));
  }
  /** Lets it look at the files until the condition holds. */
  async function looks(condition: () => boolean): Promise<void> {
    await until(async () => {
      await clock.advance(lookMs, lookMs);
      return condition();
    });
  }
  const renewed = (count: number) => () => lines.filter(({ message }) => message.startsWith('new TLS files are in use')).length === count;

  it('reads files again that were written over or renamed into place, and says so to who listens', async () => {
    put(dir, 'peer');
    await using port = await TlsPort.open(filesIn(dir), clock, log);
    const seen: string[] = [];
    port.onChange(({ cert }) => seen.push(cert));
    assert.equal(port.options.cert, pem('peer.pem'));
    put(dir, 'peer2');
    await looks(renewed(1));
    assert.deepEqual([port.options.cert, port.options.key, seen], [pem('peer2.pem'), pem('peer2.key'), [pem('peer2.pem')]]);
    put(join(dir, 'next'), 'peer');
    for (const name of ['tls.key', 'tls.crt']) renameSync(join(dir, 'next', name), join(dir, name));
    await looks(renewed(2));
    assert.equal(port.material.cert, pem('peer.pem'));
  });

  it('sees a whole directory replaced behind a symbolic link, as Kubernetes does', async () => {
    put(join(dir, '..one'), 'peer');
    put(join(dir, '..two'), 'peer2');
    symlinkSync('..one', join(dir, '..data'));
    for (const name of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(join('..data', name), join(dir, name));
    await using port = await TlsPort.open(filesIn(dir), clock, log);
    symlinkSync('..two', join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    await looks(renewed(1));
    assert.equal(port.material.cert, pem('peer2.pem'));
  });

  it('keeps what it has while the files are wrong, logs an error once, and goes on when they are right', async () => {
    put(dir, 'peer');
    await using port = await TlsPort.open(filesIn(dir), clock, log);
    const errors = (): number => lines.filter(({ level }) => level === 'error').length;
    for (const [count, spoil] of [
      () => {
        writeFileSync(join(dir, 'tls.crt'), 'broken');
      },
      () => {
        copyFileSync(fixture('expired.pem'), join(dir, 'tls.crt'));
      },
      () => {
        rmSync(join(dir, 'tls.key'));
      },
    ].entries()) {
      spoil();
      await looks(() => errors() === count + 1);
      await clock.advance(10 * lookMs, lookMs);
      assert.equal(errors(), count + 1);
      assert.equal(port.material.cert, pem('peer.pem'));
    }
    put(dir, 'peer2');
    await looks(renewed(1));
    assert.equal(port.material.cert, pem('peer2.pem'));
  });

  it('does not complain of a certificate whose key comes a moment later', async () => {
    put(dir, 'peer');
    await using port = await TlsPort.open(filesIn(dir), clock, log);
    copyFileSync(fixture('peer2.pem'), join(dir, 'tls.crt'));
    await clock.advance(lookMs, lookMs);
    copyFileSync(fixture('peer2.key'), join(dir, 'tls.key'));
    await looks(renewed(1));
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    );
    assert.equal(port.material.key, pem('peer2.key'));
  });

  it('warns once a day from 14 days before the end, and then that it has come', async () => {
    put(dir, 'peer');
    const endsAtMs = Date.parse('2120-01-01');
    const from = (ms: number): ManualClock => Object.assign(clock, { now: () => ms });
    await using port = await TlsPort.open(filesIn(dir), from(endsAtMs - 15 * dayMs), log);
    assert.deepEqual([lines, port.endsInMs()], [[], 15 * dayMs]);
    from(endsAtMs - 13 * dayMs);
    await looks(() => lines.length > 0);
    await clock.advance(10 * lookMs, lookMs);
    assert.deepEqual(lines.splice(0), [{ level: 'warn', message: 'a TLS certificate ends soon' }]);
    from(endsAtMs + dayMs);
    await looks(() => lines.length > 0);
    assert.deepEqual(lines, [{ level: 'error', message: 'a TLS certificate has ended: nobody can connect' }]);
    assert.equal(port.endsInMs(), -dayMs);
  });

  it('logs refused connections, at most once in 10 s, and none of those that went away by themselves', async () => {
    put(dir, 'peer');
    await using port = await TlsPort.open(filesIn(dir), clock, log);
    port.refused(Object.assign(new Error('gone'), { code: 'ECONNRESET' }), undefined);
    assert.deepEqual(lines, []);
    for (let i = 0; i < 5; i += 1) port.refused(new Error('no certificate'), '10.0.0.1');
    assert.equal(lines.length, 1);
    await clock.advance(10_000, lookMs);
    port.refused(new Error('no certificate'), '10.0.0.1');
    assert.equal(lines.length, 2);
  });

  it('does not open with files that are wrong', async () => {
    put(dir, 'peer');
    writeFileSync(join(dir, 'ca.crt'), '');
    await assert.rejects(TlsPort.open(filesIn(dir), clock, log), { code: 'bad_config', message: /^--ca: .* holds no certificate/ });
  });
});
