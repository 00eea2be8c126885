// The last hours of one app in four plots, drawn by uPlot in the colours of the
// theme, each with its figures as text; and the same as a table.

import { fill, h } from './dom.js';
import { count, duration, share, short } from './words.js';

const fraction = (n) => (n === 0 ? '0 s' : duration(n));

const kinds = [
  { name: 'online', title: 'Users online', of: (x) => x.online, text: count, axis: short, zero: false, color: '--plot-1' },
  { name: 'transitions', title: 'Transitions a minute', of: (x) => x.transitions, text: (n) => short(Math.round(n * 10) / 10), axis: short, zero: true, color: '--plot-2' },
  { name: 'delay', title: 'Delay until told', of: (x) => x.delay, text: fraction, axis: fraction, zero: true, color: '--plot-3' },
  { name: 'budget', title: 'Budget used', of: (x) => x.budget, text: share, axis: share, zero: true, color: '--plot-4' },
];

/** Plots are the four plots of one app. */
export class Plots {
  #grid;
  #table;
  #drawn = new Map();
  #history = null;
  #span = 7200;

  constructor(grid, table) {
    this.#grid = grid;
    this.#table = table;
    document.addEventListener('themechange', () => this.#drawn.forEach(({ plot }) => plot.redraw(false, true)));
    new ResizeObserver(() => this.#fit()).observe(grid);
  }

  /** span sets how far back is shown, in seconds. */
  span(seconds) {
    this.#span = seconds;
    if (this.#history) this.show(this.#history);
  }

  /** clear forgets what is shown: another app is chosen. */
  clear() {
    this.#history = null;
    this.#drawn.forEach(({ plot }) => plot.destroy());
    this.#drawn.clear();
    this.#grid.replaceChildren();
    this.#table.replaceChildren();
  }

  /** show draws a history. */
  show(history) {
    this.#history = history;
    const shown = cut(history, this.#span);
    this.#grid.hidden = kinds.every((kind) => known(kind.of(shown)).length === 0);
    if (this.#grid.hidden) return fill(this.#table, h('p', { class: 'quiet' }, 'This process knows nothing of this time. It draws what it polls itself.'));
    for (const kind of kinds) {
      const drawn = this.#drawn.get(kind.name) ?? this.#open(kind);
      const values = kind.of(shown);
      drawn.plot.setData([shown.times, values]);
      drawn.plot.setScale('x', { min: shown.from, max: shown.to });
      fill(drawn.text, summary(kind, values));
    }
    fill(this.#table, table(shown));
  }

  #open(kind) {
    const canvas = h('div', { class: 'canvas', 'aria-hidden': 'true' });
    const text = h('p', { class: 'quiet plot-text' });
    const figure = h('section', { class: 'card plot', 'aria-labelledby': `plot-${kind.name}` },
      h('h3', { id: `plot-${kind.name}` }, kind.title), text, canvas);
    this.#grid.append(figure);
    const plot = new uPlot(options(kind, canvas), [[], []], canvas);
    const drawn = { plot, text, canvas };
    this.#drawn.set(kind.name, drawn);
    return drawn;
  }

  #fit() {
    for (const { plot, canvas } of this.#drawn.values()) {
      const width = canvas.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }
}

/** cut is the newest part of a history. It begins where something is known, five minutes back at the least. */
function cut(history, span) {
  const to = history.times.at(-1) ?? Math.floor(Date.now() / 1000);
  const first = history.times[history.times.findIndex((_, i) => kinds.some((kind) => kind.of(history)[i] !== null))] ?? to;
  const from = Math.max(to - span, Math.min(first, to - 300));
  const begin = history.times.findIndex((time) => time >= from);
  const part = (column) => (begin < 0 ? [] : column.slice(begin));
  return {
    from, to, times: part(history.times), online: part(history.online), transitions: part(history.transitions),
    delay: part(history.delay), budget: part(history.budget),
  };
}

const known = (values) => values.filter((value) => value !== null);

function summary(kind, values) {
  const all = known(values);
  if (all.length === 0) return 'Nothing is known of this time.';
  const newest = values.at(-1);
  const low = all.reduce((a, b) => Math.min(a, b));
  const high = all.reduce((a, b) => Math.max(a, b));
  return [h('strong', null, newest === null ? 'not known' : kind.text(newest)), ` now · ${kind.text(low)} to ${kind.text(high)}`];
}

/** table is a dozen of the points. */
function table(shown) {
  const step = Math.max(1, Math.ceil(shown.times.length / 12));
  const rows = [];
  for (let i = shown.times.length - 1; i >= 0; i -= step) rows.push(i);
  return h('details', { class: 'as-table' },
    h('summary', null, 'The same as a table'),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The last hours as a table' }, h('table', { class: 'rows' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'At'), kinds.map((kind) => h('th', { scope: 'col', class: 'num' }, kind.title)))),
      h('tbody', null, rows.map((i) => h('tr', null,
        h('th', { scope: 'row' }, new Date(shown.times[i] * 1000).toISOString().slice(11, 16)),
        kinds.map((kind) => h('td', { class: 'num' }, kind.of(shown)[i] === null ? '–' : kind.text(kind.of(shown)[i])))))))));
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** large is how much larger letters are than usual, as somebody has set it. */
const large = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

function options(kind, canvas) {
  const by = large();
  const line = { stroke: () => color('--rule'), width: 1 };
  const axis = { stroke: () => color('--quiet'), font: `${12 * by}px system-ui, sans-serif`, grid: line, ticks: { ...line, size: 4 } };
  return {
    width: Math.max(120, canvas.clientWidth),
    height: canvas.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { auto: false }, y: { range: (_, low, high) => range(kind, low, high) } },
    axes: [
      { ...axis, space: 60 * by, size: 26 * by, values: (_, splits) => splits.map((s) => new Date(s * 1000).toISOString().slice(11, 16)) },
      { ...axis, space: 32 * by, size: 56 * by, values: (_, splits) => splits.map((s) => kind.axis(s)) },
    ],
    series: [{}, { stroke: () => color(kind.color), fill: () => (kind.zero ? color(`${kind.color}-under`) : null), width: 1.5, points: { show: lone, size: 4 } }],
  };
}

/** range begins at zero where that says something; a flat line lies in the middle. */
function range(kind, low, high) {
  if (low === null || high === null) return [0, 1];
  if (kind.zero) return [0, high > 0 ? high * 1.1 : 1];
  const room = Math.max((high - low) * 0.15, Math.abs(high) * 0.01, 1);
  return [Math.max(0, low - room), high + room];
}

/** lone shows points where there are so few that a line would not show them. */
function lone(plot) {
  return known(plot.data[1]).length < 3;
}
