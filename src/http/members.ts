import { type Context } from 'koa';
import { type BodyReader } from './body.ts';
import { decodeAddress, decodeUuid, parseBody } from './parse.ts';
import { type MembersControl } from './ports.ts';
import { addMemberRequest, removeMemberRequest } from './schema.ts';
import { answerJson, type Route } from './shell.ts';

/** Who is a member of the mesh. `signal` ends what waits for a peer. */
export function memberRoutes(members: MembersControl, bodies: BodyReader, signal: AbortSignal): Route[] {
  const add = async (ctx: Context): Promise<void> => {
    const { peer, regionName } = parseBody(addMemberRequest, await bodies.read(ctx.req, ctx.res));
    answerJson(ctx, JSON.stringify(await members.add(decodeAddress(peer, 'peer'), regionName, signal)));
  };
  const remove = async (ctx: Context): Promise<void> => {
    const { clusterId } = parseBody(removeMemberRequest, await bodies.read(ctx.req, ctx.res));
    answerJson(ctx, JSON.stringify({ removed: await members.remove(decodeUuid(clusterId, 'clusterId')) }));
  };
  return [
    { method: 'POST', path: '/control/members/add', handle: add },
    { method: 'POST', path: '/control/members/remove', handle: remove },
  ];
}
