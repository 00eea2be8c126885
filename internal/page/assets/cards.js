// One app in cards: users, sweep, freshness, budget, telling, lease.

import { facts, h } from './dom.js';
import { ages } from './freshness.js';
import { judge, mark } from './verdict.js';
import { age, count, duration, lasted, many, moment, share, short, took } from './words.js';

/** cards draws an app. */
export function cards(board, app, now) {
  const verdict = judge(app, board.checks);
  return [
    h('div', { class: 'bar app-bar' },
      h('h2', { id: 'app-title' }, `App ${app.app} `, h('span', { class: `badge ${verdict.level}` }, mark(verdict.level), verdict.word)),
      board.user_ids
        ? h('form', { class: 'filter', 'data-form': 'user' },
            h('label', { for: 'look-up' }, 'A user’s story'),
            h('input', { id: 'look-up', name: 'user', type: 'search', maxlength: '64', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', placeholder: 'user id' }),
            h('button', null, 'Explain'))
        : h('p', { class: 'quiet' }, 'User ids are hidden by http.hide_user_ids.')),
    verdict.why.length > 0 && board.apps.length > 1 && h('ul', { class: 'reasons' }, verdict.why.map((why) => h('li', null, why))),
    h('div', { class: app.lease.held ? 'cards' : 'cards two' }, app.lease.held
      ? [users(app), sweep(app, now), fresh(app, now), budget(app), told(app), lease(app, now)]
      : [lease(app, now), elsewhere(app)]),
  ];
}

function card(name, title, ...body) {
  return h('section', { class: `card ${name}`, 'aria-labelledby': `card-${name}` }, h('h3', { id: `card-${name}` }, title), ...body);
}

/** elsewhere is what stands where another process polls. */
function elsewhere(app) {
  return card('elsewhere', 'All else',
    h('p', null, app.lease.holder
      ? 'Who is online, sweeps, freshness and all else is known to the process that polls the app, and is on its page.'
      : 'Nobody is asked about, and nothing new is told, as far as this process can see. As soon as it can, it polls the app itself.'),
    facts(['Schedule', h('code', null, app.schedule)], ['Rate', `${short(app.budget.setting)} requests a second`]));
}

const notYet = () => h('p', { class: 'quiet' }, 'Not known yet.');

function users(app) {
  const u = app.users;
  if (!u) return card('users', 'Users', notYet());
  return card('users', 'Users',
    h('p', { class: 'figure' }, h('strong', null, count(u.online)), ` of ${count(u.watched)} online`),
    stack(u),
    h('ul', { class: 'key' },
      portion('online', u.online, u.watched), portion('offline', u.offline, u.watched), portion('unknown', u.unknown, u.watched)),
    facts(
      u.watched > 0 && ['Coverage', u.coverage === null ? 'no sweep is over yet' : `${share(u.coverage)} answered by the newest sweep`],
      u.held > 0 && ['Held', `${many(u.held, 'change waits', 'changes wait')} to be confirmed`],
      u.gated > 0 && ['Doubted', `${many(u.gated, 'user')} said to be offline, and not believed yet`],
      u.invalid > 0 && ['Invalid', `${many(u.invalid, 'id')} on the watchlist that ZIM cannot be asked about`]),
    u.watched === 0 && h('p', { class: 'note' }, 'Nobody is watched. Users are added by ', h('code', null, 'poller watch add'), ' or by rows in watched_users.'));
}

function portion(name, n, of) {
  return h('li', null, h('span', { class: `swatch ${name}`, 'aria-hidden': 'true' }), `${name} `, h('strong', null, count(n)), ' ', h('span', { class: 'quiet' }, of > 0 ? share(n / of) : ''));
}

/** stack is one bar of the three; its text is beside it. */
function stack(u) {
  const all = Math.max(1, u.online + u.offline + u.unknown);
  let at = 0;
  const part = (name, n) => {
    const wide = (n / all) * 1000;
    at += wide;
    return h('rect', { class: name, x: (at - wide).toFixed(2), y: 0, width: wide.toFixed(2), height: 10 });
  };
  return h('svg', { class: 'stack', viewBox: '0 0 1000 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    part('online', u.online), part('offline', u.offline), part('unknown', u.unknown));
}

function sweep(app, now) {
  const { running: run, last, next } = app;
  return card('sweep', 'Sweep',
    run && [
      h('p', { class: 'figure' }, h('strong', null, run.watched > 0 ? share(run.seen / run.watched) : '…'), ` of sweep ${count(run.number)}`),
      h('progress', { max: Math.max(1, run.watched), value: Math.min(run.seen, Math.max(1, run.watched)), 'aria-label': `Sweep ${run.number}` }),
      h('p', { class: 'quiet' }, `${count(run.seen)} of ${many(run.watched, 'user')} answered, running for ${lasted(age(run.started, now))}`,
        run.left !== null && `, about ${lasted(run.left)} left`),
    ],
    !run && (next || last) && h('p', { class: 'figure' }, ...due(next, now)),
    facts(
      ['Schedule', h('code', null, app.schedule)],
      run && next && ['Next', `${age(next, now) >= 0 ? 'as soon as this one is over' : `in ${lasted(-age(next, now))}`}`],
      last && [`Last, ${count(last.number)}`, sweepText(last, now)]),
    !last && !run && h('p', { class: 'note' }, 'There has been no sweep yet.'));
}

function due(next, now) {
  if (!next) return ['No sweep is due'];
  const wait = -age(next, now);
  if (wait > 0) return ['Next in ', h('strong', null, lasted(wait))];
  return wait > -5 ? ['Due ', h('strong', null, 'now')] : ['Overdue by ', h('strong', null, lasted(-wait))];
}

function sweepText(s, now) {
  const text = `${count(s.seen)} of ${count(s.watched)} answered${s.finished ? ` in ${took(s.started, s.finished)}` : ''}, ${many(s.transitions, 'transition')}, ${many(s.requests, 'request')}`;
  return [
    s.finished && `${moment(s.finished, now)}: `, text,
    (!s.complete || s.failure) && h('span', { class: 'word-look' }, ` ▲ ${s.complete ? '' : 'ended early'}${!s.complete && s.failure ? ': ' : ''}${s.failure}`),
  ];
}

function fresh(app, now) {
  return card('fresh', 'Freshness', app.ages ? ages(app.ages, now) : notYet());
}

function budget(app) {
  const b = app.budget;
  const slowed = b.rate < b.setting * 0.999;
  return card('budget', 'Budget and ZIM',
    h('p', { class: 'figure' }, h('strong', null, share(b.used)), ' used in the last minute'),
    h('progress', { max: 1, value: Math.min(1, b.used), 'aria-label': 'Budget used' }),
    facts(
      ['Allowed', `${short(b.rate)} of ${short(b.setting)} requests a second`, slowed && h('span', { class: 'word-look' }, ' ▲ ZIM asked to slow down')],
      ['ZIM', b.breaker ? h('span', { class: 'word-bad' }, '■ does not answer; requests are held up') : app.trouble ? h('span', { class: 'word-bad' }, `■ ${app.trouble}`) : 'answers']));
}

function told(app) {
  const { events, seconds } = app.lag;
  return card('told', 'Telling',
    h('p', { class: 'figure' }, events > 0
      ? [h('strong', null, count(events)), ` ${events === 1 ? 'event' : 'events'} not told yet`]
      : [h('strong', null, 'Everything'), ' is told']),
    facts(
      events > 0 && ['Oldest', `observed ${duration(seconds)} ago`],
      ['Delay', app.delay === null ? 'no event was told lately' : `${duration(app.delay)} from being known to being told`]));
}

function lease(app, now) {
  const l = app.lease;
  return card('lease', 'Lease',
    h('p', { class: 'figure' }, l.held ? [h('strong', null, 'Here')] : l.holder ? [h('strong', null, 'Standby')] : [h('strong', null, 'Nobody'), ' is known to poll it']),
    facts(
      l.held && l.since && ['Since', `${moment(l.since, now)}, for ${lasted(age(l.since, now))}`],
      l.holder && ['Holder', h('span', { class: 'id' }, l.holder)],
      l.epoch > 0 && ['Epoch', count(l.epoch)]));
}

/** incidents draws the last ones. */
export function incidents(app, now) {
  if (!app.lease.held) return null;
  return h('section', { class: 'incidents', 'aria-labelledby': 'incidents-title' },
    h('h2', { id: 'incidents-title' }, 'Incidents'),
    app.incidents.length === 0
      ? h('p', { class: 'quiet' }, 'None: at no time were so many said to have gone at once that it had to be asked again.')
      : h('table', { class: 'rows' },
          h('thead', null, h('tr', null, ['Began', 'Took', 'Said to have gone', 'Came out as'].map((name) => h('th', { scope: 'col' }, name)))),
          h('tbody', null, app.incidents.map((i) => incident(i, now)))));
}

function incident(i, now) {
  const outcome = { released: ['ok', 'true: told'], discarded: ['idle', 'false: not told'] }[i.outcome] ?? ['look', 'being asked again'];
  return h('tr', null,
    h('td', null, moment(i.began, now)),
    h('td', null, i.ended ? took(i.began, i.ended) : `${lasted(age(i.began, now))} so far`),
    h('td', null, `${many(i.flips, 'user')}, ${share(i.share)} of those online`),
    h('td', null, mark(outcome[0]), outcome[1]));
}
