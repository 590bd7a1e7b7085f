/** For mocha's --require: prepares FoundationDB's client before any test, and clears what the run wrote. */
import { buggify, clearRun, testCluster } from './cluster.ts';

// Before any suite is loaded: some open stores when they are.
if (testCluster !== undefined) await buggify();

export const mochaHooks = {
  async afterAll(): Promise<void> {
    if (testCluster !== undefined) await clearRun();
  },
};
