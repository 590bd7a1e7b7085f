import { type Context } from 'koa';
import { type Access, type Caller } from './access.ts';
import { type Route } from './shell.ts';

/** A route that asks itself who calls, and what of it is allowed. */
export interface CallerRoute extends Omit<Route, 'handle'> {
  /** `callerOf` has the error `unauthenticated`. */
  readonly handle: (ctx: Context, callerOf: () => Caller) => Promise<void> | void;
}

/** Routes for callers that show who they are. */
export function forCallers(access: Access, routes: readonly CallerRoute[]): Route[] {
  return routes.map((route) => ({ ...route, handle: (ctx) => route.handle(ctx, () => access.callerOf(ctx.req.headers)) }));
}

/** Routes for callers with the right to control. */
export function forControl(access: Access, routes: readonly Route[]): Route[] {
  return forCallers(
    access,
    routes.map(({ handle, ...route }) => ({
      ...route,
      handle: (ctx, callerOf) => {
        callerOf().mayControl();
        return handle(ctx);
      },
    })),
  );
}
