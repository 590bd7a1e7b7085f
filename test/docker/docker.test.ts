import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { parse } from 'yaml';
import * as z from 'zod';
import { Scene } from '../e2e/server.ts';

const dir = join(import.meta.dirname, '../../docker');
const service = z.looseObject({
  image: z.string(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
});
const instance = service.extend({ networks: z.object({ mesh: z.object({ ipv4_address: z.string() }) }) });
const compose = z.looseObject({ services: z.record(z.string(), service) });

/** No engine may be here to run it: what it would pass to gkvmesh is passed to check-config. */
describe('docker/', () => {
  const scene = new Scene();
  after(() => scene.close());
  const { services } = compose.parse(parse(readFileSync(join(dir, 'compose.yaml'), 'utf8'), { merge: true }));
  const instances = Object.entries(services)
    .filter(([, { image }]) => image === 'gkvmesh')
    .map(([name, each]) => [name, instance.parse(each)] as const);

  it('composes three regions of two instances each', () => {
    const regions = instances.map(([, { environment }]) => environment['GKVMESH_REGION']);
    assert.deepEqual(regions, ['eu', 'eu', 'us', 'us', 'ap', 'ap']);
    const ports = instances.flatMap(([, { ports: mapped }]) => mapped);
    assert.equal(new Set(ports).size, instances.length, 'each on a port of its own');
  });

  const dockerfile = readFileSync(join(dir, 'Dockerfile'), 'utf8');
  const imageCommand = z.array(z.string()).parse(JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? 'null'));

  for (const [name, { command = imageCommand, environment, volumes, networks }] of instances) {
    const address = networks.mesh.ipv4_address;
    it(`passes settings to ${name} that check-config takes`, async () => {
      const clean = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !variable.startsWith('GKVMESH_')));
      assert.equal(command[0], 'serve');
      const { code, stdout, stderr } = await scene.run(['check-config', ...command.slice(1)], { env: { ...clean, ...environment } });
      assert.equal(code, 0, stderr);
      const config = z.looseObject({ store: z.looseObject({ kind: z.string() }) }).parse(JSON.parse(stdout.toString()));
      assert.equal(config.store.kind, 'fdb');
      const clusterFile = volumes.find((volume) => volume.endsWith(`:${environment['GKVMESH_FDB'] ?? ''}`))?.split(':')[0] ?? '';
      assert.match(environment['GKVMESH_ADVERTISE'] ?? '', new RegExp(`^${address}:6200$`), 'others are told where it is');
      const region = environment['GKVMESH_REGION'] ?? '';
      const line = readFileSync(join(dir, clusterFile), 'utf8').trim();
      assert.equal(line, services[`${region}-fdb`]?.environment['FDB_CLUSTER_FILE_CONTENTS'], 'the server and its clients agree');
    });
  }

  it('its image starts with flags that check-config takes, as another user than root, and checks its health', async () => {
    assert.equal(imageCommand[0], 'serve');
    const { code, stderr } = await scene.run(['check-config', ...imageCommand.slice(1)]);
    assert.equal(code, 0, stderr);
    assert.match(dockerfile, /^USER node$/m);
    assert.match(dockerfile, /^HEALTHCHECK .*\n.*\/readyz/m);
  });

  it('the example of a cluster file is one, and so is every other', () => {
    const files = [
      join(dir, '../fdb.cluster.example'),
      ...readdirSync(dir)
        .filter((name) => name.endsWith('.cluster'))
        .map((name) => join(dir, name)),
    ];
    for (const file of files) {
      const lines = readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'));
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', /^\w+:\w+@[\d.]+:\d+$/);
    }
  });
});
