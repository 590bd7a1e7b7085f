import assert from 'node:assert/strict';
import { join } from 'node:path';
import type * as z from 'zod';
import { statusAnswer } from '../../src/http/schema.ts';
import { anonymousMb } from '../bench/memory.ts';
import { until } from '../support.ts';
import { FaultProxy } from './proxy.ts';
import { type Link } from './link.ts';
import { b64, serveArgs, type RunningServer, type Scene } from './server.ts';

type MeshStatus = NonNullable<z.infer<typeof statusAnswer>['mesh']>;

/** "Within a few seconds", on a machine that does other work too. */
const levelMsMax = 15_000;

/** A region of a mesh, over the processes that it has one after the other. */
export class MeshRegion {
  readonly name: string;
  readonly data: string;
  readonly address: string;
  readonly clusterId: string;
  server: RunningServer;

  constructor(name: string, address: string, server: RunningServer) {
    this.name = name;
    this.address = address;
    this.server = server;
    this.data = server.data;
    this.clusterId = server.clusterId;
  }

  async mesh(): Promise<MeshStatus> {
    const { mesh } = statusAnswer.parse((await this.server.get('/control/status')).json);
    assert.ok(mesh !== null, `${this.name} tells of its mesh`);
    return mesh;
  }

  /** Waits, by `atLeast`, for what was accepted elsewhere; how long it may take is the server's to say, and it is asked again. */
  async sees(key: string, value: string, accepted: string): Promise<void> {
    await until(async () => (await this.server.post('/data/get', { key: b64(key), atLeast: accepted })).status === 200);
    assert.equal(await this.server.read(key), value);
  }

  anonymousMb(): number {
    return anonymousMb(this.server.process.child.pid ?? 0);
  }
}

/** Three regions in processes of their own that follow each other through a proxy. */
export class TestMesh {
  readonly regions: readonly MeshRegion[];
  readonly #scene: Scene;
  readonly #proxy: FaultProxy;

  private constructor(scene: Scene, proxy: FaultProxy, regions: readonly MeshRegion[]) {
    this.#scene = scene;
    this.#proxy = proxy;
    this.regions = regions;
  }

  static async start(scene: Scene, names: readonly string[] = ['ap', 'eu', 'us']): Promise<TestMesh> {
    const proxy = new FaultProxy();
    const regions = await Promise.all(
      names.map(async (name) => {
        const server = await scene.server(join(scene.dir(), 'data'), ['--region', name]);
        const region = new MeshRegion(name, await proxy.listen(server.clusterId), server);
        proxy.target(server.clusterId, server.mesh);
        return region;
      }),
    );
    const mesh = new TestMesh(scene, proxy, regions);
    for (const { server } of regions)
      for (const { clusterId, address, name } of regions)
        await server.set(`@system/peers/${clusterId}`, JSON.stringify({ address, regionName: name }));
    await mesh.followed();
    return mesh;
  }

  region(name: string): MeshRegion {
    const region = this.regions.find((each) => each.name === name);
    assert.ok(region !== undefined, name);
    return region;
  }

  /** The link over which `reader` asks `upstream`. */
  link(reader: string, upstream: string): Link {
    return this.#proxy.link(this.region(reader).clusterId, this.region(upstream).clusterId);
  }

  /** Both links of each pair that these two sides make. */
  between(left: readonly string[], right: readonly string[]): Link[] {
    return left.flatMap((a) => right.flatMap((b) => [this.link(a, b), this.link(b, a)]));
  }

  /** A process for a region whose last one has ended, on the same data. `files`: of greater ones it may write no more than so many KiB. */
  async restart(region: MeshRegion, files?: { readonly kibMax: number }): Promise<void> {
    const flags = ['--region', region.name];
    if (files === undefined) region.server = await this.#scene.server(region.data, flags);
    else {
      const limited = `trap '' XFSZ; ulimit -f ${files.kibMax}; exec "$@"`;
      const args = ['-c', limited, 'bash', ...region.server.process.child.spawnargs.slice(0, 2), ...serveArgs(region.data), ...flags];
      region.server = await this.#scene.wrapped('bash', args, region.data);
    }
    this.#proxy.target(region.clusterId, region.server.mesh);
  }

  /** Waits until each follows all others, and an exchange with each has ended well. */
  async followed(): Promise<void> {
    await until(async () => {
      const meshes = await Promise.all(this.regions.map((region) => region.mesh()));
      return meshes.every(
        ({ peers }) =>
          peers.length === this.regions.length - 1 &&
          peers.every(({ connected, lastExchange }) => connected && lastExchange?.result === 'converged'),
      );
    });
  }

  /** Waits for equal roots, which must come within seconds; then nothing may have been repaired that a frontier had covered. */
  async level(msMax = levelMsMax): Promise<void> {
    const started = performance.now();
    const sums = async (): Promise<string[]> => Promise.all(this.regions.map(async ({ server }) => (await server.tree()).sum));
    await until(async () => new Set(await sums()).size === 1 || performance.now() - started > msMax);
    assert.equal(new Set(await sums()).size, 1, `the roots are not equal after ${msMax} ms`);
    assert.deepEqual(await this.defects(), [], 'nothing was claimed that was not here');
  }

  /** Of each pair that has some. */
  async defects(): Promise<string[]> {
    const found: string[] = [];
    for (const region of this.regions)
      for (const peer of (await region.mesh()).peers)
        if (peer.defects > 0) found.push(`${region.name} from ${peer.regionName}: ${peer.defects}`);
    return found;
  }

  async close(): Promise<void> {
    await this.#proxy.close();
  }
}
