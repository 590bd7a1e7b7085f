import { describeStore, type Stores } from '../store/suite.ts';
import { freshPrefix, isBuggified, openTestStore, testCluster } from './cluster.ts';

async function open(): Promise<Stores> {
  const prefix = freshPrefix();
  const [store, other] = await Promise.all([openTestStore(prefix), openTestStore(prefix)]);
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  };
  return { store, other, failsOnPurpose: isBuggified, [Symbol.asyncDispose]: close };
}

if (testCluster !== undefined) describeStore('fdb', open);
