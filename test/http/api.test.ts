import { after, before, describe } from 'mocha';
import { apiSuite } from './apiSuite.ts';
import { startApi, type TestApi } from './harness.ts';
import { refusalSuite } from './refusalSuite.ts';

describe('HTTP API over a stub store', () => {
  let api: TestApi;
  before(async () => {
    api = await startApi();
  });
  after(() => api[Symbol.asyncDispose]());
  apiSuite(() => api.url);
  refusalSuite(() => api.url);
});
