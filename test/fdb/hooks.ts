/** For mocha's --require: prepares FoundationDB's client before any test, and clears what the run wrote. */
import { buggify, clearRun, testCluster } from './cluster.ts';

export const mochaHooks = {
  async beforeAll(): Promise<void> {
    if (testCluster !== undefined) await buggify();
  },
  async afterAll(): Promise<void> {
    if (testCluster !== undefined) await clearRun();
  },
};
