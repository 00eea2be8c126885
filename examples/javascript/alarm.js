// Raises an alarm when nothing true of an app has been told for too long: when the
// poller, ZIM, Postgres or NATS has stopped, or this program's way to NATS, or when too
// many users go without an answer.
//
//   node alarm.js [app id] [seconds] [NATS servers]
//
// The servers are those of POLLER_NATS_URL, or 127.0.0.1:4222; NATS_USER and
// NATS_PASSWORD are used where they are set.
//
// It prints one JSON a line: each sweep, and the alarm when it begins and is over.
import { setTimeout as delay } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const mostMissed = 0.1; // of those watched; a sweep that missed more does not count

const app = process.argv[2] ?? "1234567890";
const limit = Number(process.argv[3] ?? 240) * 1000; // for "@every 1m", see docs/consuming.md
const { POLLER_NATS_URL, NATS_USER, NATS_PASSWORD } = process.env;
const servers = (process.argv[4] ?? POLLER_NATS_URL ?? "nats://127.0.0.1:4222").split(",");

const say = (line) => console.log(JSON.stringify(line));

let last = { at: Date.now(), sweep: null }; // as long as nothing was heard: since the start
let alarmed = false;

// A sweep that finished complete is a watermark: up to started_at everybody who was not
// missed is known, and told but for what is held. How many may be missed is for us to say.
function heard({ phase, complete, sweep, started_at, watched, seen, missed, held, seq }, at) {
  if (phase !== "finished" || !complete || missed > mostMissed * watched) return;
  last = { at, sweep, started_at };
  say({ sweep, known_as_of: started_at, seen, missed, held, seq });
}

function judge() {
  const silent = Date.now() - last.at > limit;
  if (silent !== alarmed) say({ alarm: silent, last_sweep: last.sweep, known_as_of: last.started_at });
  alarmed = silent;
}
setInterval(judge, 1000);

async function listen(js) {
  const consumer = await js.consumers.get(`PRESENCE_CONTROL_${app}`, {
    filter_subjects: `presence.control.v1.${app}.sweep`, deliver_policy: "last", // and what comes
  });
  for await (const message of await consumer.consume()) {
    const { type, data } = message.json();
    if (type === "presence.sweep.v1") heard(data, message.time.getTime()); // when the server stored it
  }
}

const nc = await connect({
  servers, user: NATS_USER, pass: NATS_PASSWORD, maxReconnectAttempts: -1, waitOnFirstConnect: true,
});
nc.closed().then((problem) => {
  console.error(`the connection is closed for good: ${problem?.message}`); // refused by the server, say
  process.exit(1);
});

for (;;) {
  try {
    await listen(jetstream(nc));
  } catch (problem) {
    console.error(problem.message); // no stream yet, say
  }
  await delay(1000);
}
