import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, before, describe, it } from 'mocha';
import { until } from '../support.ts';
import { TestMesh, type MeshRegion } from './mesh.ts';
import { b64, errorIn, Scene } from './server.ts';
import { Writers } from './writers.ts';

const memoryMbMax = 300;
const writersPerRegion = 6;
const absentWrites = 20_000;

describe('three regions in processes of their own, behind a proxy', function () {
  this.timeout(60_000);
  const scene = new Scene();
  let mesh: TestMesh;
  let ap: MeshRegion, eu: MeshRegion, us: MeshRegion;
  let load: Load;

  before(async () => {
    mesh = await TestMesh.start(scene);
    [ap, eu, us] = [mesh.region('ap'), mesh.region('eu'), mesh.region('us')];
    load = new Load(mesh.regions);
  });
  afterEach('I1, I2, I7: no acknowledged write is missing anywhere, roots are equal, nothing was claimed too early', async () => {
    await mesh.level();
    await load.check();
    for (const region of mesh.regions) assert.ok(region.anonymousMb() < memoryMbMax, `${region.name} holds ${region.anonymousMb()} MB`);
  });
  after(async () => {
    await mesh.close();
    await scene.close();
  });

  async function partitioned(left: readonly string[], right: readonly string[], work: () => Promise<void>): Promise<void> {
    for (const link of mesh.between(left, right)) link.set({ flow: 'cut' });
    await work();
    for (const link of mesh.between(left, right)) link.set({ flow: 'open' });
  }

  it('what one accepts is readable in the others at once, with atLeast', async () => {
    for (const region of mesh.regions) {
      const { accepted } = await region.server.set(`from ${region.name}`, 'v');
      for (const other of mesh.regions) await other.sees(`from ${region.name}`, 'v', accepted);
    }
  });

  it('kill -9 of one amid writers', async () => {
    const writing = load.begin();
    await load.more(300);
    await eu.server.crash();
    await load.more(300);
    await mesh.restart(eu);
    load.resume(eu);
    await load.more(300);
    await writing.end();
  });

  it('one stands still for 5 s amid writers', async () => {
    const writing = load.begin();
    await load.more(100);
    us.server.process.child.kill('SIGSTOP');
    await Promise.all([sleep(5_000), load.more(300, ap)]);
    us.server.process.child.kill('SIGCONT');
    await load.more(100, us);
    await writing.end();
  });

  it('a partition with writes to the same keys on both sides', async () => {
    const value = (region: MeshRegion, i: number): string => `${region.name} ${i}`;
    await partitioned(['ap'], ['eu', 'us'], async () => {
      for (let i = 0; i < 50; i += 1) for (const region of mesh.regions) await region.server.set(`both ${i}`, value(region, i));
      await eu.server.set('only eu', 'v');
      assert.equal(await ap.server.read('only eu'), undefined, 'nothing passes');
    });
    await mesh.level();
    for (let i = 0; i < 50; i += 1)
      for (const region of mesh.regions) assert.equal(await region.server.read(`both ${i}`), value(us, i), 'the last write wins');
  });

  it('a link that is cut one way, and one that says nothing: what is written comes by way of the third', async () => {
    for (const flow of ['cut', 'silent'] as const) {
      mesh.link('ap', 'eu').set({ flow });
      const { accepted } = await eu.server.set(`around ${flow}`, 'v');
      await ap.sees(`around ${flow}`, 'v', accepted);
      const back = await ap.server.set(`back ${flow}`, 'v');
      await eu.sees(`back ${flow}`, 'v', back.accepted);
      mesh.link('ap', 'eu').set({ flow: 'open' });
    }
  });

  it('a slow link: the others do not wait for it', async () => {
    for (const link of mesh.between(['us'], ['ap', 'eu'])) link.set({ delayMs: 100, bytesPerSecond: 100_000 });
    const writing = load.begin();
    await load.more(600);
    const { accepted } = await ap.server.set('beside', 'v');
    await eu.sees('beside', 'v', accepted);
    await writing.end();
    await mesh.level();
    for (const link of mesh.between(['us'], ['ap', 'eu'])) link.set({ delayMs: 0, bytesPerSecond: Infinity });
  });

  it('each is restarted in turn, under load', async () => {
    const writing = load.begin();
    for (const region of mesh.regions) {
      await load.more(100);
      const { code, stderr } = await region.server.stop();
      assert.equal(code, 0, stderr);
      await load.more(100);
      await mesh.restart(region);
      load.resume(region);
      await load.more(50, region);
    }
    await writing.end();
  });

  it('a long absence: what was written meanwhile comes by the feed', async () => {
    await us.server.stop();
    await Promise.all([ap.server.fill('away/a/', absentWrites / 2), eu.server.fill('away/e/', absentWrites / 2)]);
    await mesh.restart(us);
    await mesh.level(20_000);
    // The exchange at the start may have been faster with some of it; the feed goes through all.
    await until(async () => (await us.mesh()).peers.reduce((sum, { writes }) => sum + writes, 0) >= absentWrites);
  });

  it('a full disk of one: the others go on, and it comes level once it has room', async () => {
    await us.server.stop();
    await mesh.restart(us, { kibMax: 65_536 });
    const value = b64(Buffer.alloc(1_000_000, 7));
    const refused = async (): Promise<boolean> => {
      const answer = await us.server.post('/data/set', { key: b64(`full ${performance.now()}`), value });
      if (answer.status === 200) return false;
      assert.equal(errorIn(answer).code, 'disk_full');
      return true;
    };
    await until(refused);
    const { accepted } = await ap.server.set('beside the full one', 'v');
    await eu.sees('beside the full one', 'v', accepted);
    assert.equal((await us.server.get('/livez')).status, 200);
    await us.server.stop();
    await mesh.restart(us);
    await us.sees('beside the full one', 'v', accepted);
  });
});

/** Writers to every region, those of each under keys of their own. */
class Load {
  readonly #regions: readonly MeshRegion[];
  readonly #writers: ReadonlyMap<MeshRegion, Writers>;
  readonly #writing: Promise<void>[] = [];
  #stop = new AbortController();
  #round = 0;

  constructor(regions: readonly MeshRegion[]) {
    this.#regions = regions;
    this.#writers = new Map(
      regions.map((region) => [region, new Writers('allowed', { count: writersPerRegion, prefix: `load/${region.name}/` })]),
    );
  }

  begin(): { end: () => Promise<void> } {
    this.#stop = new AbortController();
    for (const region of this.#regions) this.resume(region);
    return {
      end: async () => {
        this.#stop.abort();
        await Promise.all(this.#writing.splice(0));
      },
    };
  }

  /** For those whose server had gone. */
  resume(region: MeshRegion): void {
    this.#round += 1;
    const writing = this.#of(region).writeAll([region.server], this.#round, this.#stop.signal);
    writing.catch(() => undefined); // `end` tells
    this.#writing.push(writing);
  }

  /** Waits for so many more acknowledgements, of one region or of all. */
  async more(count: number, region?: MeshRegion): Promise<void> {
    const acknowledged = (): number =>
      (region === undefined ? [...this.#writers.values()] : [this.#of(region)]).reduce((sum, each) => sum + each.acknowledgements, 0);
    const enough = acknowledged() + count;
    await until(() => acknowledged() >= enough);
  }

  /** Every region holds all that any of them acknowledged. */
  async check(): Promise<void> {
    for (const writers of this.#writers.values()) for (const { server } of this.#regions) await writers.check(server);
  }

  #of(region: MeshRegion): Writers {
    const writers = this.#writers.get(region);
    assert.ok(writers !== undefined, region.name);
    return writers;
  }
}
