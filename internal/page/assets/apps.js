// The choice of apps, where there are several: each with its state, the worst first.

import { h, fill } from './dom.js';
import { appPath } from './route.js';
import { judge, mark, order } from './verdict.js';
import { count, many, short } from './words.js';

/** few is how many apps are shown without a field to search them by. */
const few = 8;

/** show draws the choice; nothing where there is only one. */
export function show(element, board, chosen, wanted) {
  element.hidden = board.apps.length < 2;
  if (element.hidden) return;
  const all = worstFirst(board);
  const found = all.filter(({ app, verdict }) => `${app.app} ${verdict.word}`.includes(wanted));
  fill(element,
    h('div', { class: 'bar' },
      h('h2', null, 'Apps ', h('span', { class: 'quiet' }, tally(all))),
      board.apps.length > few && h('form', { class: 'filter', 'data-form': 'none' },
        h('label', { for: 'find-app' }, 'Find'),
        h('input', { id: 'find-app', type: 'search', autocomplete: 'off', placeholder: 'id, or: red' }))),
    found.length > 0
      ? h('ul', { class: 'apps' }, found.map(({ app, verdict }) =>
          h('li', { 'data-key': app.app },
            h('a', { href: appPath(app.app), 'aria-current': app.app === chosen ? 'true' : null },
              mark(verdict.level), h('span', { class: 'id' }, String(app.app)), ' ',
              h('span', { class: 'quiet' }, verdict.word, app.users ? ` · ${short(app.users.online)} online` : '')))))
      : h('p', { class: 'quiet' }, `None of ${count(all.length)} has that in its id or state.`),
    board.total > board.apps.length && h('p', { class: 'quiet' }, `${many(board.total - board.apps.length, 'more app is', 'more apps are')} not listed.`));
}

/** worstFirst are the apps, each with its verdict. */
export function worstFirst(board) {
  const all = board.apps.map((app) => ({ app, verdict: judge(app, board.checks) }));
  return all.sort((a, b) => order.indexOf(b.verdict.level) - order.indexOf(a.verdict.level) || a.app.app - b.app.app);
}

/** tally is how many there are of each state. */
function tally(all) {
  const by = new Map();
  for (const { verdict } of all) by.set(verdict.word, (by.get(verdict.word) ?? 0) + 1);
  return `${many(all.length, 'app')}: ${[...by].map(([word, n]) => `${count(n)} ${word}`).join(', ')}`;
}
