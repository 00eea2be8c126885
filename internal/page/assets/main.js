// The page: what is asked for, where somebody is in it, and what is drawn then.

import * as apps from './apps.js';
import { Asking } from './ask.js';
import { cards, incidents } from './cards.js';
import { fill, h } from './dom.js';
import { Live } from './live.js';
import { Plots } from './plots.js';
import { route, userPath } from './route.js';
import { User } from './user.js';
import { mark, show as showVerdict, sum, unreached } from './verdict.js';
import { age, clock, count, lasted } from './words.js';

const at = (name) => document.getElementById(name);

const most = 20; // apps of which the board has all
let board = null;
let opened = null; // the app that is shown where the address names none
let detail = null; // the chosen app with all of it, where the board has not all of each
let came = 0; // when the board did, by the browser's own clock that nobody sets
let lost = null; // since when there is no connection, and why
let saidLast = '';
let shownApp = '';

const plots = new Plots(at('plot-grid'), at('plot-table'));
const live = new Live(at('rows'), at('live-state'), say);
const user = new User(at('user'));
const boards = new Asking(2000, () => 'api/board', gotBoard, lostBoard);
const details = new Asking(2000, () => (board?.apps.length > most && chosen() ? `api/board?app=${chosen().app}` : null), gotDetail, () => {});
const histories = new Asking(15_000, historyPath, (found) => gotHistory(found), () => {});

/** say reads something out; politely, and only what has changed for somebody. */
function say(text) {
  at('said').textContent = text;
}

/** now is the time by the poller's clock, since the browser's may be wrong; it stands still without a connection. */
function now() {
  return lost?.since ?? Date.parse(board.at) + (performance.now() - came);
}

function gotBoard(found) {
  board = found;
  const app = chosen();
  if (board.apps.length > most && app && app.app === detail?.app) app.incidents = detail.incidents; // the board has the newest
  came = performance.now();
  lost = null;
  boards.every = board.apps.length > most ? 5000 : 2000;
  appMayHaveChanged();
  draw();
}

/** gotDetail is of the chosen app, where there are so many that the board has not all of each. */
function gotDetail(found) {
  detail = found.apps[0];
  const i = board.apps.findIndex((app) => app.app === detail?.app);
  if (i >= 0) board.apps[i] = detail;
}

function lostBoard(why) {
  lost = { since: board ? now() : null, from: lost?.from ?? performance.now(), why: why.message };
  if (board) return draw();
  at('verdict').className = 'verdict bad';
  fill(at('verdict'), h('p', { class: 'headline' }, mark('bad'), 'No answer'), h('p', { class: 'summary' }, why.message), unreached());
}

/**
 * chosen is the app that is shown. Where the address names none it is the worst at the time when the page was opened,
 * and stays that one: nothing jumps away from who reads it.
 */
function chosen() {
  const { app } = route();
  if (app !== null) return board.apps.find((a) => a.app === app);
  const found = board.apps.find((a) => a.app === opened) ?? apps.worstFirst(board)[0]?.app;
  opened = found?.app ?? null;
  return found;
}

/** polled is the app that is shown, where it is polled here; what is told of it is known then. */
function polled() {
  const app = chosen();
  return app?.lease.held ? app : undefined;
}

function historyPath() {
  const app = board && route().user === null && polled();
  return app ? `api/history?app=${app.app}` : null;
}

function gotHistory(found) {
  at('plots').hidden = !polled();
  plots.show(found);
}

/** appMayHaveChanged begins anew with what belongs to one app, where another is shown, or who polls it has changed. */
function appMayHaveChanged() {
  const app = `${chosen()?.app} ${polled() ? 'here' : 'elsewhere'}`;
  if (app === shownApp) return;
  shownApp = app;
  plots.clear();
  at('plots').hidden = true;
  histories.now();
  details.now();
}

function draw() {
  if (!board) return;
  const place = route();
  const app = chosen();
  document.documentElement.classList.toggle('lost', lost !== null);
  drawProcess();
  const headline = showVerdict(at('verdict'), board, now(), lost && { ...lost, lasts: (performance.now() - lost.from) / 1000 });
  if (headline.replace(/\d\d:\d\d:\d\d/, '') !== saidLast) say(headline);
  saidLast = headline.replace(/\d\d:\d\d:\d\d/, '');
  document.title = `${lost ? '■' : { ok: '●', idle: '○', look: '▲', bad: '■' }[sum(board).level]} ${headline} – poller`;
  apps.show(at('apps'), board, app?.app, (at('find-app')?.value ?? '').trim());
  at('app').hidden = place.user !== null || !app;
  at('user').hidden = place.user === null;
  at('nowhere').hidden = app !== undefined || place.app === null || place.user !== null;
  if (!at('app').hidden) {
    fill(at('cards'), cards(board, app, now()));
    fill(at('incidents'), incidents(app, now()));
  }
  at('live').hidden = !polled();
  live.show(at('app').hidden || !polled() ? null : { app: app.app, kind: at('kind').value, user: at('who').value, linked: board.user_ids });
  if (place.user !== null) user.show(place.app, place.user);
}

function drawProcess() {
  const rows = [
    ['Process', h('span', { class: 'id' }, board.process)],
    ['Version', board.version],
    ['Runs for', lasted(age(board.started, now()))],
    board.replicas > 0 && ['Replicas', count(board.replicas)],
    ['Now', `${clock(now())} UTC`],
  ];
  fill(at('process'), rows.filter(Boolean).map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))));
}

function moved() {
  if (!board) return;
  appMayHaveChanged();
  draw();
  histories.now();
  at('main').focus({ preventScroll: true });
  scrollTo(0, 0);
}

const deeds = {
  retry: () => boards.now(),
  skip: () => at('main').focus(),
  again: () => user.again(),
};

document.addEventListener('click', (event) => {
  const deed = deeds[event.target.closest('[data-do]')?.dataset.do];
  if (!deed) return;
  event.preventDefault();
  deed();
});

document.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = event.target.elements.user?.value;
  if (event.target.dataset.form === 'user' && name) location.hash = userPath(chosen().app, name);
});

document.addEventListener('input', (event) => {
  if (event.target.id === 'find-app') draw();
  if (event.target.name === 'span') plots.span(Number(event.target.value));
});

let typed = 0;
at('filter').addEventListener('change', draw);
at('who').addEventListener('input', () => {
  clearTimeout(typed);
  typed = setTimeout(draw, 400);
});
at('pause').addEventListener('click', () => {
  const paused = at('pause').getAttribute('aria-pressed') !== 'true';
  at('pause').setAttribute('aria-pressed', String(paused));
  live.pause(paused);
});
addEventListener('hashchange', moved);
setInterval(() => !document.hidden && draw(), 1000);
boards.now();
