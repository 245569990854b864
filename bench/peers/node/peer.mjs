// The npm peers under the command line of `vtoc-bench-peers`: one peer, one figure, one JSON line on standard output.
// Each run gets an empty database of its own from its caller and installs the peer's schema itself.

import { parseArgs } from "node:util";
import { Board } from "./board.mjs";
import { measure, Refused } from "./figure.mjs";

const PEERS = { "graphile-worker": "./graphile-worker.mjs", "pg-boss": "./pg-boss.mjs" };
const FIGURES = ["drain_noop", "drain_1ms", "enqueue_batch", "enqueue_single", "start_latency"];

function whole(text, name, least) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Refused(`--${name} ${text}: not a whole number of at least ${least}`);
  }
  return value;
}

function arguments_() {
  const text = { type: "string" };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: text, settings: text, figure: text, concurrency: text, seconds: text,
      jobs: { ...text, default: "20000" },
      pending: { ...text, default: "0" },
      finished: { ...text, default: "0" },
      rate: { ...text, default: "100" },
    },
  });
  const [peer] = positionals;
  if (!(peer in PEERS)) throw new Refused(`unknown peer ${peer}; there are: ${Object.keys(PEERS).join(", ")}`);
  if (!FIGURES.includes(values.figure)) throw new Refused(`unknown figure ${values.figure}; there are: ${FIGURES.join(", ")}`);
  if (!["best", "defaults"].includes(values.settings)) throw new Refused(`unknown settings ${values.settings}: best or defaults`);
  if (values.url === undefined) throw new Refused("--url is missing");
  const optional = (name) => (values[name] === undefined ? undefined : whole(values[name], name, 1));
  return {
    peer, url: values.url, settings: values.settings, figure: values.figure,
    concurrency: optional("concurrency"), seconds: optional("seconds"),
    jobs: whole(values.jobs, "jobs", 1), pending: whole(values.pending, "pending", 0),
    finished: whole(values.finished, "finished", 0), rate: whole(values.rate, "rate", 1),
  };
}

async function main() {
  const args = arguments_();
  const { Peer } = await import(PEERS[args.peer]);
  const concurrency = args.concurrency ?? Peer.concurrency(args.settings);
  const measured = await measure(Peer, Board, args, concurrency);
  const { jobs, ...value } = measured;
  const line = {
    peer: args.peer, version: Peer.version, settings: args.settings, figure: args.figure,
    jobs, concurrency, pending: args.pending, finished: args.finished, ...value,
    rss_mib: Math.round(process.memoryUsage().rss / 104857.6) / 10,
  };
  console.log(JSON.stringify(line));
}

main().then(
  // The peer's workers are still up: nothing of theirs is waited for.
  () => process.exit(0),
  (err) => {
    const refused = err instanceof Refused || err.code?.startsWith("ERR_PARSE_ARGS");
    console.error(refused ? err.message : err);
    process.exit(refused ? 2 : 1);
  },
);
