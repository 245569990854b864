// pg-boss. Finished jobs stay in the table for a while.

import { createRequire } from "node:module";
import { PgBoss } from "pg-boss";
import { payload } from "./board.mjs";

const QUEUE = "measure";
const BATCH = 500;
const lock = createRequire(import.meta.url)("./package-lock.json");

/** The peer and what it was told. */
export class Peer {
  static version = lock.packages["node_modules/pg-boss"].version;
  static finishAll = "update pgboss.job set state = 'completed', started_on = now(), completed_on = now()";

  unfinished = `select count(*) from pgboss.job where name = '${QUEUE}' and state <> 'completed'`;

  static concurrency(settings) {
    return settings === "best" ? 2 * BATCH : 1;
  }

  static async install(url, settings, concurrency) {
    const peer = new Peer();
    const best = settings === "best";
    peer.boss = new PgBoss({ connectionString: url, ...(best && { useListenNotify: true }) });
    peer.boss.on("error", (err) => console.error(err.message));
    await peer.boss.start();
    await peer.boss.createQueue(QUEUE, best ? { notify: true } : {});
    // As many handlers at once: whole batches, several of them where one isn't enough.
    const batchSize = Math.min(BATCH, concurrency);
    peer.work = best
      ? { batchSize, localConcurrency: Math.round(concurrency / batchSize), burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
      : concurrency > 1 ? { localConcurrency: concurrency } : {};
    return peer;
  }

  async enqueueBatch(from, count) {
    await this.boss.insert(QUEUE, Array.from({ length: count }, (_, at) => ({ data: payload(from + at) })));
  }

  async enqueueSingle(number) {
    await this.boss.send(QUEUE, payload(number));
  }

  async start(board) {
    await this.boss.work(QUEUE, this.work, (jobs) => Promise.all(jobs.map((job) => board.handle(job.data.number))));
  }
}
