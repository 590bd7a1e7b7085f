import { spawnSync } from 'node:child_process';
import { writeFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { openFdbStore, type FdbStore } from '../../src/store/fdb/store.ts';
import { assertTree } from '../aae/oracle.ts';
import { type Process, type RunningServer, type Scene } from '../e2e/server.ts';
import { command } from '../region.ts';

export const instanceFlags = ['--listen', '127.0.0.1:0', '--mesh-listen', '127.0.0.1:0', '--log-level', 'warn'];

/** A FoundationDB of one process and of our own, so that tests may kill and stop it. */
export class OwnFdb {
  readonly clusterFile: string;
  readonly #scene: Scene;
  readonly #dir: string;
  readonly #port: number;
  #process: Process;

  private constructor(scene: Scene, dir: string, port: number) {
    this.#scene = scene;
    this.#dir = dir;
    this.#port = port;
    this.clusterFile = join(dir, 'fdb.cluster');
    writeFileSync(this.clusterFile, `test:${String(port)}@127.0.0.1:${port}\n`);
    mkdirSync(join(dir, 'data'));
    this.#process = this.#spawn();
  }

  /** Starts fdbserver from the PATH, and makes an empty database in it. */
  static async start(scene: Scene): Promise<OwnFdb> {
    const fdb = new OwnFdb(scene, scene.dir(), await freePort());
    fdb.#configure();
    return fdb;
  }

  static isInstalled(): boolean {
    return spawnSync('fdbserver', ['--version']).status === 0 && spawnSync('fdbcli', ['--version']).status === 0;
  }

  /** A gkvmesh instance of the cluster under a prefix, given in hex. `flags`: of which mesh, and more. */
  instance(scene: Scene, prefix: string, flags: readonly string[] = ['--open']): Promise<RunningServer> {
    return scene.wrapped(
      process.execPath,
      [command, 'serve', '--fdb', this.clusterFile, '--fdb-prefix', prefix, ...instanceFlags, ...flags],
      prefix,
    );
  }

  /** What lies under a prefix, given in hex. */
  store(prefix: string): Promise<FdbStore> {
    const { clusterFile } = this;
    return openFdbStore({ clusterFile, prefix: Buffer.from(prefix, 'hex'), clock: realClock, random: realRandom });
  }

  /** The tree under a prefix, given in hex, is the one that its heads make. */
  async assertSound(prefix: string, digests = new MeshDigests(openMesh)): Promise<void> {
    await using store = await this.store(prefix);
    await assertTree(store, digests);
  }

  async killAndRestart(): Promise<void> {
    await this.#process.kill('SIGKILL');
    this.#process = this.#spawn();
  }

  /** Stops it where it stands; `resume` goes on. */
  pause(): void {
    this.#process.child.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.child.kill('SIGCONT');
  }

  kill(): Promise<unknown> {
    return this.#process.kill('SIGKILL');
  }

  restart(): void {
    this.#process = this.#spawn();
  }

  #spawn(): Process {
    const address = `127.0.0.1:${this.#port}`;
    const data = join(this.#dir, 'data');
    return this.#scene.process('fdbserver', [
      '-p',
      address,
      '-l',
      address,
      '-C',
      this.clusterFile,
      '-d',
      data,
      '-L',
      this.#dir,
      '--knob_disable_posix_kernel_aio=1',
    ]);
  }

  #configure(): void {
    const { stdout, status } = spawnSync('fdbcli', ['-C', this.clusterFile, '--exec', 'configure new single ssd', '--timeout', '30']);
    if (status !== 0) throw new Error(`fdbcli could not make a database: ${stdout.toString()}`);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}
