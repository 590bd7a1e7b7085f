import { toHex } from '../../../src/core/bytes.ts';
import { prefixRange } from '../../../src/core/key.ts';
import { containsScope, everything, isInScope, membersScope, scopeOf, scopesOf, type Scope, type Scopes } from '../../../src/core/scope.ts';
import { type Stream } from '../kernel/streams.ts';
import { keyOf } from '../load/keys.ts';

const prefixes = ['k0', 'k00', 'k1', 'k2', 'k3', 'k4', 'd/', 'd/l/'] as const;

/** Which keys each region holds, in worlds where some hold parts: the first one everything, so that all is somewhere. What sessions would prove is told by cluster id. */
export class RegionScopes {
  readonly #scopes: readonly Scope[];
  /** By the cluster id in hex. */
  readonly #regions = new Map<string, number>();

  constructor(random: Stream, regions: number) {
    this.#scopes = Array.from({ length: regions }, (_, index) => (index === 0 || random.chance(0.25) ? everything : drawn(random)));
  }

  of(region: number): Scope {
    return this.#scopes[region] ?? everything;
  }

  holds(region: number, name: string): boolean {
    return isInScope(keyOf(name), this.of(region));
  }

  /** One that holds all that the other does can fill it. */
  mayFill(donor: number, region: number): boolean {
    return containsScope(this.of(donor), this.of(region));
  }

  note(clusterId: Uint8Array, region: number): void {
    this.#regions.set(toHex(clusterId), region);
  }

  /** Of a region and another one. */
  between(own: number, peer: number): Scopes | undefined {
    return scopesOf(this.of(own), this.of(peer));
  }

  /** Of a region and a cluster. */
  betweenCluster(own: number, clusterId: Uint8Array): Scopes | undefined {
    return this.between(own, this.#regions.get(toHex(clusterId)) ?? own);
  }
}

/** By the name that its instances are reached under. */
export function regionOf(host: string): number {
  return Number(host.slice(1));
}

function drawn(random: Stream): Scope {
  const named = prefixes.filter(() => random.chance(0.4));
  return scopeOf([...named.map((text) => prefixRange(Buffer.from(text))), ...membersScope]);
}
