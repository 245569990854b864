// Where handlers write down that they started. It says when it pays to ask the database; it is never the proof that a job is
// finished.

import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds on the clock that never goes back. */
export const now = () => performance.now();

/** A job of about 200 bytes of JSON. */
export function payload(number) {
  return { number, station: "sju-01", text: "0123456789abcdef".repeat(10) };
}

/** Shared by all handlers of a run. */
export class Board {
  /** For jobs numbered from 0 to `jobs`, whose handlers sleep for `work` milliseconds. */
  constructor(jobs, work) {
    this.work = work;
    this.starts = 0;
    this.startedAt = new Float64Array(jobs);
    this.ended = undefined;
  }

  /** What every handler does. */
  async handle(number) {
    if (this.startedAt[number] === 0) {
      this.startedAt[number] = now();
      this.starts += 1;
    }
    if (this.work > 0) await sleep(this.work);
  }

  /** Throws once a worker has ended. */
  check() {
    if (this.ended !== undefined) throw new Error(`the worker ended: ${this.ended}`);
  }
}
