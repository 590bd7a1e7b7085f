export interface DerivedAbort {
  readonly signal: AbortSignal;
  /** Aborts it too; to be called in any case, as the parent holds it until then. */
  end(): void;
}

const ended = 'ended'; // left out, each abort would make an exception with a stack

/**
 * A signal that aborts with its parent, or by `end`. For short waits under a parent that lives long: a third of the time of `AbortSignal.any`, which
 * also leaves something behind in the parent.
 */
export function derivedAbort(parent: AbortSignal): DerivedAbort {
  const own = new AbortController();
  const follow = (): void => {
    own.abort(parent.reason);
  };
  if (parent.aborted) follow();
  else parent.addEventListener('abort', follow);
  const end = (): void => {
    parent.removeEventListener('abort', follow);
    own.abort(ended);
  };
  return { signal: own.signal, end };
}
