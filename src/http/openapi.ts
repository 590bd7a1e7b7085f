import * as z from 'zod';
import * as schema from './schema.ts';

interface Operation {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  readonly request?: z.ZodType;
  /** In the address. */
  readonly query?: z.ZodType;
  /** Undefined: of the media type, or plain text. */
  readonly answer: z.ZodType | undefined;
  readonly media?: string;
  /** Who asks need not show a token. */
  readonly free?: true;
}

const flag = (name: string): z.ZodType => z.object({ [name]: z.literal(true) });

const operations: readonly Operation[] = [
  { method: 'post', path: '/data/get', summary: 'Read a key', request: schema.getRequest, answer: schema.getAnswer },
  {
    method: 'post',
    path: '/data/set',
    summary: 'Write or delete a key; in a granted mesh also by a write that the client has signed',
    request: z.union([schema.setRequest, schema.signedRequest]),
    answer: schema.setAnswer,
  },
  { method: 'post', path: '/data/list', summary: 'Read a range of keys', request: schema.listRequest, answer: schema.listAnswer },
  {
    method: 'post',
    path: '/data/batch',
    summary: 'Write many keys, all or none',
    request: schema.batchRequest,
    answer: schema.batchAnswer,
  },
  {
    method: 'post',
    path: '/control/aae/pull',
    summary: 'Bring a range level with a peer; progress as NDJSON with Accept: application/x-ndjson',
    request: schema.pullRequest,
    answer: schema.pullAnswer,
  },
  {
    method: 'post',
    path: '/control/backup',
    summary: 'A backup of everything, or the rest of one, as a stream of bytes',
    request: schema.backupRequest,
    answer: undefined,
    media: 'application/octet-stream',
  },
  {
    method: 'get',
    path: '/control/key',
    summary: 'All that is held for one key, in base64url',
    query: schema.keyQuery,
    answer: schema.keyAnswer,
  },
  {
    method: 'get',
    path: '/control/records',
    summary: 'Root documents, grants and revocations that this cluster knows of, in an order in which each rests on those before it',
    query: schema.recordsQuery,
    answer: schema.recordsAnswer,
  },
  {
    method: 'get',
    path: '/control/refused',
    summary: 'The last 100 writes that this instance refused, the latest first',
    answer: schema.refusedAnswer,
  },
  {
    method: 'post',
    path: '/control/members/add',
    summary: 'Ask who is at a mesh port, and make it a member of this mesh',
    request: schema.addMemberRequest,
    answer: schema.addMemberAnswer,
  },
  {
    method: 'post',
    path: '/control/members/remove',
    summary: 'Take a member out of this mesh',
    request: schema.removeMemberRequest,
    answer: schema.removeMemberAnswer,
  },
  { method: 'get', path: '/control/status', summary: 'What this instance is, holds and lacks', answer: schema.statusAnswer },
  { method: 'get', path: '/control/tree', summary: 'Sum and shape of the anti-entropy tree', answer: schema.treeAnswer },
  { method: 'get', path: '/cluster_id', summary: 'UUID of this cluster, as text', answer: undefined, free: true },
  { method: 'get', path: '/mesh_id', summary: 'Id of its mesh, 64 hex digits, as text', answer: undefined, free: true },
  { method: 'get', path: '/peers', summary: 'Known peers', answer: schema.peersAnswer },
  { method: 'get', path: '/livez', summary: 'Is the process alive', answer: flag('live'), free: true },
  { method: 'get', path: '/readyz', summary: 'Is it ready: does it have all that it should serve', answer: flag('ready'), free: true },
  { method: 'get', path: '/metrics', summary: 'Prometheus metrics, as text', answer: undefined },
  { method: 'get', path: '/openapi.json', summary: 'This description', answer: z.looseObject({}), free: true },
];

/** OpenAPI 3.1, made from the schemas that requests are checked against. */
export function openApi(release: string): object {
  const paths = Object.fromEntries(operations.map((operation) => [operation.path, { [operation.method]: describe(operation) }]));
  const components = { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'gkv_…, where the server has tokens' } } };
  return { openapi: '3.1.0', info: { title: 'gkvmesh', version: release }, paths, components };
}

function describe({ summary, request, query, answer, media = 'text/plain', free }: Operation): object {
  const body = request === undefined ? {} : { requestBody: { required: true, content: json(request, 'input') } };
  const content = answer === undefined ? { [media]: { schema: { type: 'string' } } } : json(answer, 'output');
  const parameters = query === undefined ? {} : { parameters: inQuery(query) };
  const failed = { description: 'Any error: a stable code, and a message', content: json(schema.errorAnswer, 'output') };
  const security = free === true ? [] : [{ token: [] }, {}];
  return { summary, ...parameters, ...body, security, responses: { 200: { description: 'Done', content }, default: failed } };
}

function inQuery(shape: z.ZodType): object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(shape, { io: 'input' });
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema }));
}

function json(shape: z.ZodType, io: 'input' | 'output'): object {
  return { 'application/json': { schema: z.toJSONSchema(shape, { io }) } };
}
