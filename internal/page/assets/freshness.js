// How old the newest answers are: a bar for each range of ages, and its text.

import { h } from './dom.js';
import { age, count, duration, lasted, share } from './words.js';

/** ages draws the distribution. */
export function ages(a, now) {
  const answered = a.users.reduce((n, m) => n + m, 0);
  const all = answered + a.never;
  if (all === 0) return h('p', { class: 'quiet' }, 'Nobody is watched.');
  return [
    h('p', { class: 'figure' }, answered > 0 ? ['Half are younger than ', h('strong', null, duration(a.median))] : [h('strong', null, 'Nobody'), ' was answered yet']),
    answered > 0 && h('p', { class: 'quiet' }, `99 % younger than ${duration(a.p99)}, the oldest ${duration(a.oldest)}`),
    h('table', { class: 'ages' },
      h('caption', { class: 'unseen' }, 'Users by the age of their newest answer'),
      h('thead', { class: 'unseen' }, h('tr', null, ['Age', 'Share', 'Users'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', null, ranges(a).map(([name, n, extra]) => row(name, n, all, extra)))),
    h('p', { class: 'quiet counted' }, age(a.at, now) < 1 ? 'Counted just now' : `Counted ${lasted(age(a.at, now))} ago`),
  ];
}

/** ranges are the buckets up to the last that has somebody in it, six at least, and who was never answered. */
function ranges(a) {
  const last = a.users.findLastIndex((n) => n > 0);
  const rows = a.users.slice(0, Math.max(6, last + 1)).map((n, i) => [rangeText(a.under, i), n]);
  if (a.never > 0) rows.push(['never answered', a.never, 'never']);
  return rows;
}

function rangeText(under, i) {
  if (i === under.length) return `over ${duration(under[i - 1])}`;
  return i === 0 ? `under ${duration(under[0])}` : `${duration(under[i - 1])} to ${duration(under[i])}`;
}

function row(name, n, all, extra) {
  const text = n === 0 ? '' : share(n / all);
  return h('tr', { class: extra ?? null },
    h('th', { scope: 'row' }, name),
    h('td', { class: 'graph' }, h('svg', { viewBox: '0 0 1000 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      h('rect', { x: 0, y: 0, width: n === 0 ? 0 : Math.max(4, (n / all) * 1000).toFixed(1), height: 10 })), h('span', { class: 'unseen' }, text || '0 %')),
    h('td', { class: 'num' }, count(n)));
}
