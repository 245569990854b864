// graphile-worker. Finished jobs are deleted.

import { createRequire } from "node:module";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { payload } from "./board.mjs";

const KIND = "measure";
const lock = createRequire(import.meta.url)("./package-lock.json");
const quiet = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

/** The peer and what it was told. */
export class Peer {
  static version = lock.packages["node_modules/graphile-worker"].version;
  static finishAll = undefined;

  unfinished = "select count(*) from graphile_worker._private_jobs";

  static concurrency(settings) {
    // What its page on performance takes, and what it takes when nobody says.
    return settings === "best" ? 24 : 1;
  }

  static async install(url, settings, concurrency) {
    const peer = new Peer();
    const worker = { concurrentJobs: concurrency };
    if (settings === "best") {
      Object.assign(worker, {
        maxPoolSize: Math.min(25, concurrency + 1),
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      });
    }
    peer.pool = new pg.Pool({ connectionString: url, max: worker.maxPoolSize ?? 10 });
    const complain = (err) => console.error(err.message);
    peer.pool.on("error", complain);
    peer.pool.on("connect", (client) => client.on("error", complain));
    peer.preset = { worker };
    peer.utils = await makeWorkerUtils({ pgPool: peer.pool, logger: quiet });
    await peer.utils.migrate();
    return peer;
  }

  async enqueueBatch(from, count) {
    await this.utils.addJobs(Array.from({ length: count }, (_, at) => ({ identifier: KIND, payload: payload(from + at) })));
  }

  async enqueueSingle(number) {
    await this.utils.addJob(KIND, payload(number));
  }

  async start(board) {
    const runner = await run({
      preset: this.preset,
      pgPool: this.pool,
      logger: quiet,
      noHandleSignals: true,
      parsedCronItems: [],
      taskList: { [KIND]: (job) => board.handle(job.number) },
    });
    runner.promise.then(() => (board.ended = "in good order"), (err) => (board.ended = err.message));
  }
}
