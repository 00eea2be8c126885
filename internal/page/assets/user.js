// One user's story: what poller explain says, for reading.

import { ask } from './ask.js';
import { facts, fill, h, id } from './dom.js';
import { appPath } from './route.js';
import { change } from './live.js';
import { mark } from './verdict.js';
import { age, count, duration, fine, many, moment, status, took } from './words.js';

/** newest is how many answers are shown. */
const newest = 15;

/** User is the page of one user. */
export class User {
  #element;
  #shown = '';
  #flight = null;
  #place = null;

  constructor(element) {
    this.#element = element;
  }

  /** show asks for the story of a user, once. */
  show(app, user) {
    if (this.#shown === `${app}/${user}`) return;
    this.#shown = `${app}/${user}`;
    this.#place = { app, user };
    fill(this.#element, head(app, user), h('p', { class: 'loading' }, 'Asking …'));
    this.again();
  }

  /** again asks anew. */
  async again() {
    const { app, user } = this.#place;
    this.#flight?.abort();
    const flight = new AbortController();
    this.#flight = flight;
    let body;
    try {
      const report = await ask(`api/user?${new URLSearchParams({ app, user })}`, flight.signal);
      body = story(report);
    } catch (why) {
      body = untold(why);
    }
    if (!flight.signal.aborted) fill(this.#element, head(app, user), body);
  }
}

/** untold is why there is no story; that nobody is known, or is to be shown, is no fault. */
function untold(why) {
  const said = { 403: 'This is not shown here.', 404: 'Nothing is known of this user.' }[why.status];
  return h('div', { class: said ? 'note' : 'note bad' }, h('p', null, !said && mark('bad'), said ?? 'This could not be found out.'), h('p', { class: 'error' }, why.message));
}

function head(app, user) {
  return [
    h('p', { class: 'back' }, h('a', { href: appPath(app) }, `← App ${app}`)),
    h('div', { class: 'bar' },
      h('h2', null, 'User ', id(user)),
      h('p', null, h('button', { type: 'button', 'data-do': 'again' }, 'Ask again'), ' ',
        h('a', { href: `api/user?${new URLSearchParams({ app, user })}` }, 'as JSON'))),
  ];
}

function story(r) {
  const now = Date.parse(r.at);
  return [
    h('p', { class: 'quiet' }, `As of ${moment(r.at, now)}. The same as `, h('code', null, 'poller explain'), '.'),
    h('ul', { class: 'story card', 'aria-label': 'What is known' }, r.summary.map((sentence) => h('li', null, h('bdi', null, sentence)))),
    h('div', { class: 'cards two' }, toldCard(r, now), placesCard(r, now)),
    answers(r, now), ledger(r, now), suppressed(r, now), sweeps(r, now),
  ];
}

function toldCard(r, now) {
  return h('section', { class: 'card' }, h('h3', null, 'What is told'),
    h('p', { class: 'figure' }, h('strong', null, status(r.status, r.detail)), r.since && ` for ${duration(age(r.since, now))}`),
    facts(
      r.since && ['Since', moment(r.since, now)],
      ['Watched', r.added_at ? `since ${moment(r.added_at, now)}` : 'not on the watchlist'],
      r.invalid && ['Not asked', r.invalid],
      ['Answered', r.age_seconds === null ? 'never, as far as is known' : `${duration(r.age_seconds)} ago${r.daemon.story ? '' : ' at the most'}`],
      r.stale && ['Stale', 'there was no answer for too long'],
      r.held && ['Held', `${status(r.held.status, r.held.detail)} was answered first at ${moment(r.held.seen_at, now)}, and waits to be confirmed`]));
}

function placesCard(r, now) {
  const { story: s, why } = r.daemon;
  const e = r.stream.entry;
  return h('section', { class: 'card' }, h('h3', null, 'Who knows'),
    facts(
      ['Polled by', r.holder ? h('span', { class: 'id' }, r.holder.owner, `, epoch ${count(r.holder.epoch)}`) : 'nobody'],
      why && ['Memory', why],
      s && ['Memory', s.since ? `reaches back to ${moment(s.since, now)}` : 'knows of no request yet'],
      s?.refused && ['ZIM', 'refuses the id itself'],
      s?.trouble && ['ZIM', s.trouble],
      ['Stream', h('span', { class: 'id' }, r.stream.name), `: told up to event ${count(r.stream.told_seq)}`],
      r.stream.why && ['NATS', r.stream.why],
      !r.stream.why && ['Bucket', e ? `event ${count(e.seq)}, revision ${count(e.revision)}` : r.stream.bucket_missing ? 'there is none' : 'has nothing of this user'],
      r.user_no > 0 && ['Number', `${count(r.user_no)} in snapshots`]));
}

/** list is a section with a table that may scroll sideways by itself. Of a column of numbers the name begins with #. */
function list(name, title, note, columns, rows) {
  const kind = (i) => (columns[i].startsWith('#') ? 'num' : null);
  return h('section', { class: 'list', 'aria-labelledby': `list-${name}` },
    h('h3', { id: `list-${name}` }, title),
    note && h('p', { class: 'quiet' }, note),
    rows.length > 0 && h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-labelledby': `list-${name}` },
      h('table', { class: 'rows' },
        h('thead', null, h('tr', null, columns.map((column, i) => h('th', { scope: 'col', class: kind(i) }, column.replace('#', ''))))),
        h('tbody', null, rows.map((row) => h('tr', null, row.map((cell, i) => h('td', { class: kind(i) }, cell))))))));
}

function answers(r, now) {
  const all = r.daemon.story?.answers ?? [];
  const shown = all.slice(-newest).reverse();
  const note = all.length === 0 ? 'No request about this user is in the memory of a process that was asked.'
    : all.length > newest ? `The newest ${newest} of ${count(all.length)}.` : null;
  return list('answers', 'What ZIM answered', note, ['Asked', '#Took', 'Said', 'Code', 'HTTP', 'For', '#Users', 'Request id'], shown.map((a) => [
    h('span', { class: 'when' }, dated(a.asked_at, now)),
    took(a.asked_at, a.at),
    a.status ? status(a.status, a.detail) : h('span', { class: 'word-look' }, `▲ ${a.missed || (a.result === '0' ? 'nothing of this user' : a.result)}`),
    codeText(a), a.http ? String(a.http) : '–', a.lane, count(a.asked), h('span', { class: 'id' }, a.request_id || '–'),
  ]));
}

function codeText(a) {
  if (a.code === 660200001 && a.result === '0') return '660200001 (no session)';
  return a.code === 0 && a.result !== '0' ? '–' : String(a.code);
}

function dated(time, now) {
  const text = moment(time, now);
  return text.length > 8 ? text : fine(time);
}

function ledger(r, now) {
  const note = [
    r.events.length === 0 && 'Nothing was told of this user.',
    r.older && 'There are older ones: poller replay shows them.',
    r.dropped && 'There were older ones, and retention has dropped them.',
  ].filter(Boolean).join(' ');
  return list('ledger', 'What was told', note, ['#Seq', 'Change', 'It changed between', 'and', 'Confirmed', '#Sweep', 'In the stream'], r.events.toReversed().map((e) => [
    count(e.seq), change(e), e.after ? dated(e.after, now) : 'not known', dated(e.observed_at, now),
    e.confirmed_at ? dated(e.confirmed_at, now) : '–', count(e.sweep), place(e),
  ]));
}

function place(e) {
  if (e.told === 'there') return `at ${count(e.stream_seq)}`;
  return e.told ? h('span', { class: 'word-look' }, `▲ ${e.told}`) : 'not asked';
}

const whys = { hold: 'a later answer said again what is told', incident: 'asking again did not confirm it', removed: 'the user left the watchlist', stale: 'there was no answer any more' };

function suppressed(r, now) {
  const all = r.daemon.story?.suppressed ?? [];
  return all.length > 0 && list('suppressed', 'Answered, and never told', null, ['Seen', 'Dropped', 'Said', 'Because'], all.toReversed().map((d) => [
    d.seen_at ? dated(d.seen_at, now) : '–', dated(d.at, now), status(d.status, d.detail), whys[d.why] ?? d.why,
  ]));
}

function sweeps(r, now) {
  return r.sweeps.length > 0 && list('sweeps', 'Complete sweeps that asked', null, ['#Sweep', 'Started', '#Took', '#Answered', 'This user'], r.sweeps.toReversed().map((s) => [
    count(s.sweep), dated(s.started, now), took(s.started, s.finished), many(s.seen, 'user'),
    s.missed ? h('span', { class: 'word-look' }, '▲ missed') : 'answered',
  ]));
}
