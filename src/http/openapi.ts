import { z } from 'zod';
import * as schemas from './schemas.ts';

interface Operation {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  readonly request?: z.ZodType;
  readonly answer?: z.ZodType;
}

const operations: readonly Operation[] = [
  { method: 'post', path: '/data/get', summary: 'Read one key', request: schemas.getRequest, answer: schemas.getAnswer },
  { method: 'post', path: '/data/set', summary: 'Set or delete one key', request: schemas.setRequest, answer: schemas.setAnswer },
  { method: 'post', path: '/data/list', summary: 'Read a range of keys', request: schemas.listRequest, answer: schemas.listAnswer },
  { method: 'post', path: '/data/batch', summary: 'Set and delete, all or nothing', request: schemas.batchRequest, answer: schemas.batchAnswer },
  { method: 'post', path: '/control/aae/pull', summary: 'Bring this region level with a peer', request: schemas.pullRequest, answer: schemas.pullAnswer },
  { method: 'get', path: '/control/tree', summary: 'The anti-entropy tree in numbers', answer: schemas.treeAnswer },
  { method: 'get', path: '/peers', summary: 'Peers', answer: schemas.peersAnswer },
  { method: 'get', path: '/cluster_id', summary: 'Cluster id, plain text' },
  { method: 'get', path: '/livez', summary: 'Alive' },
  { method: 'get', path: '/readyz', summary: 'Ready to serve' },
  { method: 'get', path: '/metrics', summary: 'Metrics, for Prometheus' },
];

/** The API's description, made from the schemas that check it. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, request, answer } of operations) {
    const responses = { 200: { description: 'done', ...content(answer, 'output') }, default: { description: 'error', ...content(schemas.errorAnswer, 'output') } };
    const body = request === undefined ? {} : { requestBody: { required: true, ...content(request, 'input') } };
    paths[path] = { ...paths[path], [method]: { summary, ...body, responses } };
  }
  return { openapi: '3.1.0', info: { title: 'gkvmesh', version: '1' }, paths };
}

function content(schema: z.ZodType | undefined, io: 'input' | 'output'): object {
  return schema === undefined ? {} : { content: { 'application/json': { schema: z.toJSONSchema(schema, { io }) } } };
}
