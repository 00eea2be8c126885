// Asking the poller again and again: only while somebody looks, and more rarely
// while it does not answer.

const slowest = 30_000;

/** ask gets JSON, and throws what is wrong in words. */
export async function ask(path, signal) {
  const over = AbortSignal.timeout(10_000);
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', signal: signal ? AbortSignal.any([signal, over]) : over });
  } catch (why) {
    throw new Error(why.name === 'TimeoutError' ? 'The poller did not answer within 10 s.' : 'The poller cannot be reached.', { cause: why });
  }
  if (!answer.ok) {
    const text = (await answer.text().catch(() => '')).trim().slice(0, 500);
    const refusal = new Error(text || `The poller answered ${answer.status}.`);
    refusal.status = answer.status;
    throw refusal;
  }
  return answer.json();
}

/** Asking asks for one thing every so many milliseconds. got hears what came, failed why nothing did. */
export class Asking {
  #timer = null;
  #flight = null;
  #failures = 0;

  constructor(every, path, got, failed) {
    Object.assign(this, { every, path, got, failed });
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#rest() : this.now()));
  }

  /** now asks at once; what was asked for before is given up. */
  now() {
    this.#rest();
    const path = this.path();
    if (document.hidden || path === null) return;
    const flight = new AbortController();
    this.#flight = flight;
    this.#once(path, flight.signal).finally(() => {
      if (this.#flight !== flight) return;
      this.#timer = setTimeout(() => this.now(), this.#pause());
    });
  }

  async #once(path, signal) {
    let found;
    try {
      found = await ask(path, signal);
    } catch (why) {
      if (signal.aborted) return;
      this.#failures++;
      this.failed(why);
      return;
    }
    if (signal.aborted) return;
    this.#failures = 0;
    this.got(found);
  }

  #pause() {
    if (this.#failures === 0) return this.every;
    return Math.min(slowest, this.every * 2 ** (this.#failures - 1)) * (0.8 + 0.4 * Math.random());
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#flight?.abort();
    this.#flight = null;
  }
}
