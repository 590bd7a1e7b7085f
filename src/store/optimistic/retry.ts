import { GkvError, hasCode } from '../../core/errors.ts';
import { type Clock, type Random } from '../../core/ports.ts';

const attemptsMax = 50;
/** Work that is slower than a transaction may be will not get faster. */
const tooOldMax = 5;
const backoffMsMax = 100;

/**
 * Runs `attempt` until it ends in something else than a conflict, an unknown commit or a transaction that was too old;
 * each is worth another run. The first retry comes at once, later ones after a random wait that grows.
 */
export async function retrying<T>(attempt: () => Promise<T>, clock: Clock, random: Random): Promise<T> {
  let tooOld = 0;
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!hasCode(error, 'store_conflict', 'commit_unknown', 'transaction_too_old')) throw error;
      if (error.code === 'transaction_too_old') tooOld += 1;
      if (attempts >= attemptsMax || tooOld >= tooOldMax) throw lastOf(error, attempts);
      if (attempts > 1) await clock.sleep(random.fraction() * Math.min(backoffMsMax, 2 ** attempts));
    }
  }
}

function lastOf(error: GkvError, attempts: number): GkvError {
  return new GkvError(error.code, `${error.message}; given up after ${attempts} runs`, { cause: error });
}
