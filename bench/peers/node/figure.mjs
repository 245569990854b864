// The figures, the same way for every peer and the same way as in `src/figure.rs`.

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { now } from "./board.mjs";

const BATCH = 500;
const PATIENCE_MS = 120_000;
const WARM_UP = 50;

/** The command asks for what isn't there. */
export class Refused extends Error {}

async function fill(peer, jobs) {
  for (let from = 0; from < jobs; from += BATCH) await peer.enqueueBatch(from, Math.min(BATCH, jobs - from));
}

// Leaves no dead rows, stale statistics or dirty pages of the filling to the measurement.
async function settle(database) {
  await database.query("vacuum (analyze)");
  await database.query("checkpoint");
}

// Waits until the database says that at least `jobs` of `total` are finished; asks it only once as many handlers have started.
async function finish(peer, database, board, jobs, total) {
  const began = now();
  for (;;) {
    board.check();
    const at = now();
    const impatient = at - began > PATIENCE_MS;
    if (board.starts >= jobs || impatient) {
      const { rows } = await database.query(peer.unfinished);
      const finished = total - Number(rows[0].count);
      if (finished >= jobs) return { finished, at };
      if (impatient) throw new Error(`${jobs - finished} of ${jobs} jobs left after ${PATIENCE_MS / 1000} s`);
    }
    await sleep(1);
  }
}

async function drain(peer, database, Board, args, work) {
  const total = args.jobs + args.pending;
  console.error(`filling ${total} jobs`);
  await fill(peer, total);
  await settle(database);
  const board = new Board(total, work);
  console.error(`draining ${args.jobs}`);
  const began = now();
  await peer.start(board);
  const { finished, at } = await finish(peer, database, board, args.jobs, total);
  return rate(finished, at - began);
}

function rate(jobs, takenMs) {
  return { jobs, per_s: Math.round((jobs / takenMs) * 10_000) / 10 };
}

async function enqueueBatch(peer, database, args) {
  await fill(peer, args.pending + BATCH);
  await settle(database);
  const began = now();
  await fill(peer, args.jobs);
  return rate(args.jobs, now() - began);
}

async function enqueueSingle(peer, database, args) {
  await fill(peer, args.pending);
  for (let number = 0; number < WARM_UP; number += 1) await peer.enqueueSingle(number);
  await settle(database);
  const began = now();
  const until = began + (args.seconds ?? 3) * 1000;
  let jobs = 0;
  for (; now() < until; jobs += 1) await peer.enqueueSingle(WARM_UP + jobs);
  return rate(jobs, now() - began);
}

async function startLatency(peer, database, Board, args) {
  const counted = args.rate * (args.seconds ?? 10);
  const jobs = WARM_UP + counted;
  const board = new Board(jobs, 0);
  await settle(database);
  await peer.start(board);
  const enqueuedAt = new Float64Array(jobs);
  const began = now();
  for (let number = 0; number < jobs; number += 1) {
    const wait = began + (number * 1000) / args.rate - now();
    if (wait > 0) await sleep(wait);
    enqueuedAt[number] = now();
    await peer.enqueueSingle(number);
  }
  for (const since = now(); board.starts < jobs; await sleep(10)) {
    board.check();
    if (now() - since > PATIENCE_MS) throw new Error(`${jobs - board.starts} of ${jobs} jobs never started`);
  }
  const waits = board.startedAt.map((at, number) => Math.max(0, at - enqueuedAt[number])).slice(WARM_UP).sort();
  const part = (of) => Math.round(waits[Math.round((waits.length - 1) * of)] * 100) / 100;
  return { jobs: counted, rate: args.rate, p50_ms: part(0.5), p99_ms: part(0.99) };
}

/** Installs the peer and measures the figure that `args` names. */
export async function measure(Peer, Board, args, concurrency) {
  if (args.finished > 0 && Peer.finishAll === undefined) {
    throw new Refused(`${args.peer} keeps no finished jobs: --finished has no meaning`);
  }
  const peer = await Peer.install(args.url, args.settings, concurrency);
  const database = new pg.Client({ connectionString: args.url });
  await database.connect();
  if (args.finished > 0) {
    console.error(`writing ${args.finished} finished jobs`);
    await fill(peer, args.finished);
    await database.query(Peer.finishAll);
    await database.query("vacuum (full)");
  }
  switch (args.figure) {
    case "drain_noop": return drain(peer, database, Board, args, 0);
    case "drain_1ms": return drain(peer, database, Board, args, 1);
    case "enqueue_batch": return enqueueBatch(peer, database, args);
    case "enqueue_single": return enqueueSingle(peer, database, args);
    case "start_latency": return startLatency(peer, database, Board, args);
    default: throw new Refused(`unknown figure ${args.figure}`);
  }
}
