/**
 * Runs the suites on a real FoundationDB: the store's conformance suite, replica, tree and exchange, and instances in processes of their
 * own. GKVMESH_TEST_FDB names the cluster file; the client library is found by the loader's path. With GKVMESH_TEST_BUGGIFY=1 the client
 * fails now and then on purpose. The tests that kill and stop a server start one of their own, from fdbserver and fdbcli on the PATH.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { testCluster } from './cluster.ts';

if (testCluster === undefined) {
  console.error('test:fdb needs GKVMESH_TEST_FDB=<cluster file> of a running FoundationDB, and its client library on the loader’s path');
  process.exit(1);
}
const hooks = join(import.meta.dirname, 'hooks.ts');
const specs = process.argv.slice(2);
const mocha = ['--no-package', '--no-config', '-n', 'import=tsx/esm', '--timeout', '120000', '--forbid-only', '--forbid-pending', '--exit'];
const { status } = spawnSync(
  'npx',
  [
    'mocha',
    ...mocha,
    '--require',
    hooks,
    ...(specs.length > 0 ? specs : ['test/fdb/*.test.ts', 'test/replica/*.test.ts', 'test/aae/*.test.ts']),
  ],
  { stdio: 'inherit', env: { ...process.env, GKVMESH_TEST_STORE: 'fdb' } },
);
process.exit(status ?? 1);
