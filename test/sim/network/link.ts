import { type Stream } from '../kernel/streams.ts';

/** One direction between two clusters. What is zero or false does no harm. */
export interface LinkState {
  /** The mean of the delay that comes on top of the least one. */
  delayMs: number;
  readonly leastMs: number;
  /** Probability that a message is lost. */
  loss: number;
  /** Probability that a request is delivered twice. */
  duplication: number;
  /** Nothing gets through. */
  cut: boolean;
  /** The same for longer, whatever is cut and mended meanwhile. */
  apart: boolean;
  /** Everything takes so much longer. */
  clogMs: number;
}

/** What the network does to one message: when it arrives, or why it does not. */
export type Fate = { readonly kind: 'arrives'; readonly delayMs: number } | { readonly kind: 'lost'; readonly by: 'cut' | 'loss' };

/** Draws the same numbers whatever comes of it, so that a link that heals shifts nothing. */
export function fateOf(link: LinkState, random: Stream): Fate {
  const delayMs = link.leastMs + random.around(link.delayMs) + link.clogMs;
  const isLost = random.chance(link.loss);
  if (link.cut || link.apart) return { kind: 'lost', by: 'cut' };
  return isLost ? { kind: 'lost', by: 'loss' } : { kind: 'arrives', delayMs };
}

export function healthyLink(random: Stream): LinkState {
  return { delayMs: random.between(1, 20), leastMs: random.between(1, 60), loss: 0, duplication: 0, cut: false, apart: false, clogMs: 0 };
}

export function heal(link: LinkState): void {
  link.loss = 0;
  link.duplication = 0;
  link.cut = false;
  link.apart = false;
  link.clogMs = 0;
}
