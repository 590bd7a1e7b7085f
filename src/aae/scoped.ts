import { GkvError } from '../core/errors.ts';
import { commonScope, scopeText, within, type Scopes } from '../core/scope.ts';
import { type PeerLink } from './checkedPeer.ts';
import { Driver, type DriverDeps, type ExchangeOptions, type PullReport } from './driver.ts';

/**
 * An exchange over what of its range both sides may hold: one for each part of that, one after the other, and what they report together. Errors: those of `Driver.run`; `scope_mismatch` where that is nothing, or the
 * peer has proved another scope by now.
 */
export function exchangeWithin(
  scopes: Scopes | undefined,
  deps: DriverDeps,
  link: PeerLink,
  options: ExchangeOptions,
): Promise<PullReport> {
  return scopes === undefined ? new Driver(deps, link, options).run() : overRanges(scopes, deps, link, options);
}

async function overRanges(scopes: Scopes, deps: DriverDeps, link: PeerLink, options: ExchangeOptions): Promise<PullReport> {
  const common = commonScope(scopes);
  const under: PeerLink = { ask: (frame, signal) => link.ask(frame, signal, scopes) };
  let done: PullReport | undefined;
  for (const scope of within(options.scope, common)) {
    const before = done;
    const onProgress = (report: PullReport): void => {
      options.onProgress(added(before, report));
    };
    done = added(before, await new Driver(deps, under, { ...options, scope, onProgress }).run());
  }
  if (done !== undefined) return done;
  throw new GkvError('scope_mismatch', `nothing of that range may go between the two: what both hold is ${scopeText(common).join(' ')}`);
}

function added(a: PullReport | undefined, b: PullReport): PullReport {
  if (a === undefined) return b;
  return {
    keysCompared: a.keysCompared + b.keysCompared,
    branchesCompared: a.branchesCompared + b.branchesCompared,
    received: a.received + b.received,
    sent: a.sent + b.sent,
    applied: a.applied + b.applied,
    parked: a.parked + b.parked,
    missed: a.missed + b.missed,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
    writeBytes: a.writeBytes + b.writeBytes,
    roundTrips: a.roundTrips + b.roundTrips,
    durationMs: a.durationMs + b.durationMs,
    converged: a.converged && b.converged,
  };
}
