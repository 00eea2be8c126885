// What the board comes to: one word for each app, and one sentence for all.

import { h, fill } from './dom.js';
import { appPath } from './route.js';
import { age, clock, count, duration, lasted, many, share, short } from './words.js';

/** levels from good to bad, each with a mark of its own shape: colour never says it alone. */
const marks = { ok: '●', idle: '○', look: '▲', bad: '■' };
export const order = ['ok', 'idle', 'look', 'bad'];

/** few is the share of users who may be without an answer, now and then, and nothing is wrong. */
const few = 0.01;

/** enough is the share of the setting from which on a rate is no news, apart how many seconds two clocks may be so. */
const enough = 0.9;
const apart = 30;

/** mark is the sign of a level, with its word for who does not see it. */
export function mark(level) {
  return h('span', { class: `mark ${level}`, 'aria-hidden': 'true' }, marks[level]);
}

/** judge says what there is to say of an app: its level, a word, and why. */
export function judge(app, checks) {
  const red = checks.filter((check) => !check.ok && check.name.endsWith(`/${app.app}`));
  if (red.length) return { level: 'bad', word: 'red', why: red.map((check) => `${check.name} is red`) };
  if (app.trouble) return { level: 'bad', word: 'red', why: [app.trouble] };
  if (!app.lease.held) {
    return app.lease.holder
      ? { level: 'idle', word: 'standby', why: [`${app.lease.holder} polls this app`] }
      : { level: 'look', word: 'not polled', why: ['nobody is known to poll this app'] };
  }
  const why = doubts(app);
  if (why.length) return { level: 'look', word: 'look', why };
  if (!app.last) return { level: 'idle', word: 'first sweep', why: ['everybody is asked about for the first time'] };
  if (app.users?.watched === 0) return { level: 'idle', word: 'nobody watched', why: ['the watchlist is empty'] };
  return { level: 'ok', word: 'fresh', why: [] };
}

function doubts(app) {
  const why = [];
  const { users, last, lag, budget, clock: ahead } = app;
  if (budget.breaker) why.push('ZIM does not answer, and requests are held up');
  if (last && !last.complete) why.push(`sweep ${count(last.number)} ended early${last.failure ? `: ${last.failure}` : ''}`);
  else if (last && last.missed > last.watched * few) why.push(`sweep ${count(last.number)} has no answer about ${count(last.missed)} of ${many(last.watched, 'user')}${last.failure ? `: ${last.failure}` : ''}`);
  if (last?.skipped) why.push(`sweep ${count(last.number)} lasted longer than the schedule leaves room for, and ${many(last.skipped, 'due time')} went by`);
  if (budget.rate < budget.setting * enough) why.push(`ZIM takes ${short(budget.rate)} of ${short(budget.setting)} requests a second`);
  if (Math.abs(ahead) > apart) why.push(`this machine’s clock is ${duration(Math.abs(ahead))} ${ahead < 0 ? 'behind' : 'ahead of'} ZIM’s: set it`);
  if (lag.seconds > 10) why.push(`${many(lag.events, 'event')} not told yet, the oldest for ${duration(lag.seconds)}`);
  if (users?.gated > 0 || app.incidents.some((i) => !i.ended)) why.push('so many were said to have gone at once that some are asked again before it is believed');
  return why;
}

/** worst is the worst of levels. */
export function worst(levels) {
  return levels.reduce((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a), 'ok');
}

/** sum says what the whole board comes to. */
export function sum(board) {
  const verdicts = board.apps.map((app) => judge(app, board.checks));
  const red = board.checks.filter((check) => !check.ok);
  if (!board.ready || red.length) {
    const title = red.length ? `Not ready: ${many(red.length, 'check is', 'checks are')} red` : 'Not ready';
    return { level: 'bad', title, verdicts };
  }
  const level = worst(verdicts.map((v) => v.level));
  if (board.config_refused) return { level: worst([level, 'look']), title: 'Ready, and something wants a look', verdicts };
  if (!board.apps.length) return { level: 'look', title: 'Ready, and no app is configured', verdicts };
  const off = verdicts.filter((v) => v.level === 'look' || v.level === 'bad').length;
  if (off) return { level, title: board.apps.length > 1 ? `Ready, and ${many(off, 'app wants', 'apps want')} a look` : 'Ready, and something wants a look', verdicts };
  if (verdicts.every((v) => v.word === 'standby')) return { level: 'idle', title: 'Healthy, and standing by', verdicts };
  if (verdicts.some((v) => v.word === 'first sweep')) return { level: 'idle', title: 'Healthy; the first sweep is not over yet', verdicts };
  if (verdicts.every((v) => v.word === 'standby' || v.word === 'nobody watched')) return { level: 'idle', title: `Healthy, and nobody is watched${verdicts.some((v) => v.word === 'standby') ? ' here' : ''}`, verdicts };
  return { level: 'ok', title: 'Healthy and fresh', verdicts };
}

/** show draws the verdict. lost is since when there is no connection, for how many seconds and why; null while there is one. */
export function show(element, board, now, lost) {
  const { level, title, verdicts } = sum(board);
  const said = lost ? `No connection since ${clock(lost.since)}` : title;
  element.className = `verdict ${lost ? 'bad' : level}`;
  fill(
    element,
    h('p', { class: 'headline' }, mark(lost ? 'bad' : level), said),
    h('p', { class: 'summary' }, lost ? lostText(lost, title) : freshText(board, now)),
    lost && unreached(),
    board.config_refused && h('ul', { class: 'reasons' }, h('li', null, 'the configuration was read again and has faults, which ', h('code', null, 'poller check'), ' lists: the one before goes on, and the next start would fail')),
    board.apps.length === 1 ? reasons(verdicts[0]) : whose(board, verdicts),
    !board.apps.length && h('p', null, 'Apps are added to the configuration: zim.app_id for one, apps for several.'),
    redChecks(board, now),
    greenChecks(board, now, lost),
  );
  return said;
}

function lostText(lost, title) {
  return `${lost.why} That has lasted ${lasted(lost.lasts)}. What is shown below is as it was then (“${title}”), and may be wrong by now.`;
}

/** unreached is what to do where there is no answer, or none any more. */
export function unreached() {
  return [
    h('p', null, h('strong', null, 'What to do: '), 'see that the process runs, what its log says last, and that it is reached from this browser. The page asks again by itself.'),
    h('p', null, h('button', { type: 'button', 'data-do': 'retry' }, 'Ask now')),
  ];
}

function freshText(board, now) {
  const counted = board.apps.filter((app) => app.users);
  if (!counted.some((app) => app.users.watched > 0)) return '';
  const online = counted.reduce((n, app) => n + app.users.online, 0);
  const watched = counted.reduce((n, app) => n + app.users.watched, 0);
  const parts = [`${count(online)} of ${many(watched, 'user')} online`];
  const ages = counted.map((app) => app.ages).filter(Boolean);
  if (ages.some((a) => a.users.some((n) => n > 0))) {
    const slowest = Math.max(...ages.map((a) => a.p99));
    const counted = Math.max(...ages.map((a) => age(a.at, now)));
    parts.push(`${share(0.99)} of the answers are younger than ${duration(slowest)}${counted > 30 ? `, as counted ${lasted(counted)} ago` : ''}`);
  }
  const covered = counted.map((app) => app.users.coverage).filter((c) => c !== null);
  if (covered.length) parts.push(`${share(Math.min(...covered))} answered by the newest sweep`);
  return parts.join(' · ') + (board.apps.length > counted.length ? ` · in ${count(counted.length)} of ${many(board.apps.length, 'app')}, those polled here` : '');
}

function reasons(verdict) {
  return verdict.why.length > 0 && verdict.level !== 'bad' && h('ul', { class: 'reasons' }, verdict.why.map((why) => h('li', null, why)));
}

/** whose says which of several apps want a look, the worst first, five at the most. */
function whose(board, verdicts) {
  const bad = board.apps.map((app, i) => ({ app: app.app, ...verdicts[i] })).filter((v) => v.level === 'bad' || v.level === 'look');
  bad.sort((a, b) => order.indexOf(b.level) - order.indexOf(a.level));
  if (!bad.length) return null;
  return h('ul', { class: 'reasons' },
    bad.slice(0, 5).map((v) => h('li', null, h('a', { href: appPath(v.app) }, `App ${v.app}`), `: ${v.why[0]}`, v.why.length > 1 && `, and ${v.why.length - 1} more`)),
    bad.length > 5 && h('li', null, `and ${many(bad.length - 5, 'more app', 'more apps')}`));
}

function redChecks(board, now) {
  const red = board.checks.filter((check) => !check.ok);
  if (!red.length) return null;
  return h('ul', { class: 'red', 'aria-label': 'Red checks' }, red.map((check) =>
    h('li', null,
      h('p', { class: 'check' }, mark('bad'), h('strong', null, check.name), ' ', h('span', { class: 'quiet' }, `red for ${lasted(age(check.since, now))}`)),
      faults(check).map((line) => h('p', { class: 'error' }, line || 'it does not say why')),
      check.note && h('p', { class: 'quiet' }, check.note),
      check.mend && h('div', { class: 'mend' }, h('strong', null, 'What to do: '), mend(check.mend)))));
}

/** faults are what is wrong, line by line, without the commands at the ends that are said below them. */
function faults(check) {
  return check.error.split('\n').map((line) => {
    const [said, command] = line.split('; mend: ');
    return command && check.mend.includes(command) ? said : line;
  });
}

/** mend is what to do, with commands as such, to be copied: each in a line where there are several. */
function mend(text) {
  const steps = text.split('; ').map((step) => {
    const [, command, rest] = /^((?:nats|poller) .*?)(, .*)?$/.exec(step) ?? [];
    // A line is broken between its words, and not behind the hyphens of an option.
    return command ? [h('code', null, command.split(' ').map((word, i) => [i > 0 && ' ', h('span', null, word)])), rest] : step;
  });
  if (steps.length === 1) return steps[0];
  if (steps.every((step) => typeof step === 'string')) return text;
  return h('ul', null, steps.map((step) => h('li', null, step)));
}

function greenChecks(board, now, lost) {
  const green = board.checks.filter((check) => check.ok);
  // Of many apps the board has the red ones alone, and how many there are.
  const all = Math.max(board.judged, board.checks.length) - (board.checks.length - green.length);
  if (!all) return null;
  return h('details', { class: 'green' },
    h('summary', null, `${lost ? many(all, 'check was', 'checks were') : many(all, 'check is', 'checks are')} green`),
    h('ul', null, green.map((check) => h('li', null, mark('ok'), check.name, ' ', h('span', { class: 'quiet' }, `for ${lasted(age(check.since, now))}`, check.note && `; ${check.note}`)))),
    all > green.length && h('p', { class: 'quiet' }, `and ${count(all - green.length)} of apps`));
}
