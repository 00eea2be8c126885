// The live list: the newest transitions, as the poller tells them. It never
// holds more than a hundred rows, and draws once a frame, whatever comes.

import { h, id } from './dom.js';
import { userPath } from './route.js';
import { clock, count, duration, fine, many, status } from './words.js';

const most = 100;

/** Live is the list of one app. say hears what is to be read out, which is little. */
export class Live {
  #rows;
  #state;
  #say;
  #source = null;
  #wanted = null; // of which app, of whom
  #box = []; // came, and is not drawn yet; oldest first
  #passed = 0; // not shown to this browser
  #skipped = 0; // came and was replaced before it was drawn
  #frame = 0;
  #paused = false;
  #pointed = false; // somebody is about to click on a row
  #again = null;
  #failures = 0;
  #open = false;

  constructor(rows, state, say) {
    this.#rows = rows;
    this.#state = state;
    this.#say = say;
    this.#hold(rows.closest('.box'));
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#connect()));
  }

  /** show lists an app's transitions; null for none. Of a list that is shown already nothing changes. */
  show(wanted) {
    if (JSON.stringify(wanted) === JSON.stringify(this.#wanted)) return;
    this.#wanted = wanted;
    this.#passed = this.#skipped = this.#failures = 0;
    this.#rows.replaceChildren();
    this.#connect();
  }

  /** pause stops the list; what comes is kept, the newest hundred of it. */
  pause(paused) {
    this.#paused = paused;
    this.#say(paused ? 'The live list is paused.' : 'The live list goes on.');
    this.#soon();
  }

  #hold(box) {
    const point = (on) => () => {
      this.#pointed = on;
      this.#soon();
    };
    box.addEventListener('pointerenter', (e) => e.pointerType === 'mouse' && point(true)());
    box.addEventListener('pointerleave', point(false));
    box.addEventListener('focusin', point(true));
    box.addEventListener('focusout', (e) => !box.contains(e.relatedTarget) && point(false)());
  }

  #connect() {
    this.#close();
    if (document.hidden || !this.#wanted) return;
    const { app, kind, user } = this.#wanted;
    const query = new URLSearchParams({ app });
    if (kind) query.set('kind', kind);
    if (user) query.set('user', user);
    this.#source = new EventSource(`api/transitions?${query}`);
    this.#source.addEventListener('open', () => this.#opened());
    this.#source.addEventListener('told', (event) => this.#told(JSON.parse(event.data)));
    this.#source.addEventListener('error', () => this.#broke());
    this.#soon();
  }

  #opened() {
    this.#open = true;
    this.#failures = 0;
    this.#soon();
  }

  #broke() {
    // The browser's own way to try again gives up on a refusal, and never slows down.
    this.#close();
    this.#failures++;
    const wait = Math.min(30_000, 1000 * 2 ** (this.#failures - 1)) * (0.8 + 0.4 * Math.random());
    this.#again = setTimeout(() => this.#connect(), wait);
    this.#soon();
  }

  #close() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
    this.#open = false;
    this.#box = [];
  }

  #told({ events, passed, before }) {
    if (before) {
      // The first of a connection: it takes the place of what was shown.
      this.#box = (events ?? []).slice(-most);
      this.#rows.replaceChildren();
      this.#soon();
      return;
    }
    this.#passed += passed;
    this.#box.push(...(events ?? []));
    if (this.#box.length > most) {
      this.#skipped += this.#box.length - most;
      this.#box = this.#box.slice(-most);
    }
    this.#soon();
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    if (!this.#paused && !this.#pointed && this.#box.length > 0) {
      const fresh = document.createDocumentFragment();
      for (const event of this.#box.toReversed()) fresh.append(row(event, this.#wanted.linked));
      this.#box = [];
      this.#rows.prepend(fresh);
      while (this.#rows.rows.length > most) this.#rows.deleteRow(-1);
    }
    const text = this.#text();
    if (this.#state.textContent !== text) this.#state.textContent = text;
  }

  #text() {
    const parts = [];
    if (!this.#wanted) return '';
    if (this.#failures > 0) parts.push('Not connected: trying again.');
    else if (!this.#open) parts.push('Connecting …');
    else if (this.#paused) parts.push(`Paused; ${this.#waiting()} waiting.`);
    else if (this.#pointed && this.#box.length > 0) parts.push(`Held while you are in it; ${this.#waiting()} waiting.`);
    else if (this.#rows.rows.length === 0) parts.push('Nothing was told yet that fits. It will appear here.');
    else parts.push(`The newest ${count(this.#rows.rows.length)}.`);
    const missed = this.#passed + this.#skipped;
    if (missed > 0) parts.push(`${many(missed, 'more was', 'more were')} passed over: too many to show.`);
    return parts.join(' ');
  }

  #waiting() {
    return this.#box.length === most ? `${most} or more are` : this.#box.length === 1 ? '1 is' : `${count(this.#box.length)} are`;
  }
}

const signs = { online: '▲', offline: '▼', baseline: '◆', removed: '✕', stale: '?', erased: '✕' };

function row(event, linked) {
  const user = id(event.user);
  return h('tr', { class: `kind-${event.kind in signs ? event.kind : 'other'}` },
    h('td', { class: 'when' }, clock(event.at), h('span', { class: 'ms' }, fine(event.at).slice(8))),
    h('td', { class: 'who' }, linked ? h('a', { href: userPath(event.app, event.user) }, user) : user),
    h('td', { class: 'change' }, h('span', { class: 'sign', 'aria-hidden': 'true' }, signs[event.kind] ?? '•'), change(event)),
    h('td', { class: 'num delay' }, duration(event.delay)),
    h('td', { class: 'num seq' }, count(event.seq)));
}

/** change says it in words; that of an ordinary one is its kind. */
export function change(event) {
  const to = status(event.to, event.detail);
  if (event.kind === 'online' || event.kind === 'offline') return `${event.from} → ${to}`;
  return `${event.kind}: ${event.from} → ${to}`;
}
