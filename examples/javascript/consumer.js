// A consumer of presence events, after the recipe in docs/consuming.md: the
// current state first, then every event, and proof that none is missing.
//
//   node consumer.js [app id] [NATS servers]
//
// The servers are those of POLLER_NATS_URL, or 127.0.0.1:4222; NATS_USER and
// NATS_PASSWORD are used where they are set.
//
// It prints one JSON a line: what it begins with, each change, and on Ctrl-C the
// state that it has come to. What goes wrong is said on stderr.
import { setTimeout as delay } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const app = process.argv[2] ?? "1234567890";
const { POLLER_NATS_URL, NATS_USER, NATS_PASSWORD } = process.env;
const servers = (process.argv[3] ?? POLLER_NATS_URL ?? "nats://127.0.0.1:4222").split(",");
const EVENTS = `PRESENCE_${app}`;
const BUCKET = `KV_presence_${app}`;
const CONTROL = `PRESENCE_CONTROL_${app}`;
const FORGET_EVERY = Number(process.env.FORGET_EVERY ?? 60_000); // milliseconds
const KINDS = new Set(["online", "offline", "baseline", "removed", "stale"]);

const nc = await connect({
  servers, user: NATS_USER, pass: NATS_PASSWORD, maxReconnectAttempts: -1, waitOnFirstConnect: true,
});
const js = jetstream(nc);
const jsm = await js.jetstreamManager(false); // false: asks for nothing that a reader may not

let users = new Map(); // user id → { seq, status }: the user's newest event
let last = { seq: 0, log: "" }; // the newest event of all

// The numbers of events are safe in JavaScript: they stay below 2^53.
function read(message) {
  try {
    const event = message.json();
    if (event.type === "presence.transition.v1" && event.data.seq > 0) {
      return { ...event.data, log: event.id.split("-")[1] };
    }
  } catch { /* no JSON: said below */ }
  console.error(`${message.subject} ${message.seq}: no event, passed over`); // had it been one, the next seq tells
}

// Yields what a stream holds now, and ends.
async function* held(stream, options) {
  const consumer = await js.consumers.get(stream, options);
  let { num_pending: left } = await consumer.info(true);
  while (left > 0) {
    let got = 0;
    for await (const message of await consumer.fetch({ max_messages: 1000, expires: 2000 })) {
      yield message;
      got++;
      left = message.info.pending;
      if (left === 0) return;
    }
    if (got === 0) left = (await consumer.info()).num_pending; // the rest may have been deleted meanwhile
  }
}

// Reads the current state from the bucket. Returns where to go on in the event stream.
async function begin() {
  const state = new Map();
  let newest = { seq: 0, log: "" };
  let position = 0;
  for await (const message of held(BUCKET)) {
    const [stream, at] = message.headers?.get("Nats-Stream-Source").split(" ") ?? [];
    if (stream !== EVENTS) continue; // not copied from the event stream
    position = Number(at);
    const event = read(message);
    if (!event) continue;
    newest = event;
    if (event.user_id !== "") state.set(event.user_id, { seq: event.seq, status: event.to });
  }
  users = state;
  last = { seq: newest.seq, log: newest.log };
  const { created, state: stands } = await jsm.streams.info(EVENTS);
  if (stands.last_seq < position) position = 0; // not of this stream: it was made anew since
  return { from: position + 1, created };
}

// Reads the events from a position on, until something is wrong.
async function follow({ from, created }) {
  const consumer = await js.consumers.get(EVENTS, { opt_start_seq: from });
  const messages = await consumer.consume({ expires: 10_000 }); // so long it takes to notice that the server has lost it
  const beside = look(messages, created).catch((problem) => messages.stop(problem));
  say({ state: users.size, seq: last.seq });
  try {
    for await (const message of messages) {
      const event = read(message);
      if (event) await take(event);
    }
  } finally {
    messages.stop();
    await beside;
  }
}

async function take({ seq, prev_seq, log, kind, user_id, to, after, observed_at, confirmed_at }) {
  if (seq <= last.seq) {
    if (log !== last.log) throw new Error(`the numbering goes back from ${last.seq} to ${seq}`);
    return; // a duplicate
  }
  if (seq > last.seq + 1 && !covers(await erased(), last.seq + 1, seq - 1)) {
    throw new Error(`event ${seq} follows ${last.seq}`);
  }
  const before = users.get(user_id);
  if (before && before.seq !== prev_seq) {
    throw new Error(`event ${seq}: the one before is ${prev_seq}, not ${before.seq}`);
  }
  last = { seq, log };
  if (user_id !== "") users.set(user_id, { seq, status: to }); // of every kind: to is the status behind it
  if (KINDS.has(kind)) say({ seq, kind, user_id, to, after, observed_at, confirmed_at });
}

// The numbers of the events that were erased, as [first, last], both included.
async function erased() {
  const runs = [];
  try {
    for await (const message of held(CONTROL, { filter_subjects: `presence.control.v1.${app}.erased` })) {
      const { type, data } = message.json();
      if (type === "presence.erased.v1") runs.push(...data.seqs); // other types may come
    }
  } catch (problem) {
    if (problem.name !== "StreamNotFoundError") throw problem; // it is made when there is something to tell
  }
  return runs;
}

function covers(runs, from, to) {
  for (const [first, end] of runs.sort((a, b) => a[0] - b[0])) {
    if (first <= from && from <= end) from = end + 1;
  }
  return from > to;
}

// Forgets whose events were erased.
async function forget() {
  const runs = await erased();
  for (const [id, { seq }] of users) if (covers(runs, seq, seq)) users.delete(id);
}

// Looks, whenever the server had to make our consumer anew, whether the stream is still the same.
async function look(messages, created) {
  for await (const { type } of messages.status()) {
    if (type !== "ordered_consumer_recreated") continue;
    const info = await jsm.streams.info(EVENTS);
    if (info.created !== created) messages.stop(new Error("the event stream was made anew"));
  }
}

const say = (line) => console.log(JSON.stringify(line));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    say({ users: Object.fromEntries([...users].map(([id, user]) => [id, user.status])), seq: last.seq });
    process.exit(0);
  });
}

nc.closed().then((problem) => {
  console.error(`the connection is closed for good: ${problem?.message}`); // refused by the server, say
  process.exit(1);
});
setInterval(() => forget().catch((problem) => console.error(problem.message)), FORGET_EVERY);

for (;;) {
  try {
    await follow(await begin());
  } catch (problem) {
    console.error(`${problem.message}: beginning again`);
    await delay(1000);
  }
}
