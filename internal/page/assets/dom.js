// Elements, and how what is on the page becomes what it should be. Text is only
// ever set as text: nothing that comes from outside is read as HTML.

const drawn = new Set(['svg', 'rect', 'title']);

/** h makes an element: attributes by name, null and false for none; children are elements, texts, lists of them, or nothing. */
export function h(tag, attributes, ...children) {
  const made = drawn.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : String(value));
  }
  add(made, children);
  return made;
}

function add(to, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === '') continue;
    if (Array.isArray(child)) add(to, child);
    else to.append(child);
  }
}

/** fill makes the children of an element those that are given, and changes only what differs: focus and selection stay. */
export function fill(element, ...children) {
  const wanted = document.createElement('div');
  add(wanted, children);
  wanted.normalize();
  patch(element, wanted);
}

function patch(old, fresh) {
  const have = [...old.childNodes];
  const want = [...fresh.childNodes];
  for (let i = 0; i < want.length; i++) {
    if (i >= have.length) old.append(want[i]);
    else if (alike(have[i], want[i])) become(have[i], want[i]);
    else have[i].replaceWith(want[i]);
  }
  for (let i = want.length; i < have.length; i++) have[i].remove();
}

function alike(a, b) {
  return a.nodeName === b.nodeName && (a.nodeType !== Node.ELEMENT_NODE || a.getAttribute('data-key') === b.getAttribute('data-key'));
}

function become(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // Whether details are open is the reader's.
    if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  patch(old, fresh);
}

/** id is a user's id as it is: it cannot turn the text around it, and what would not be seen in it is written out. */
export function id(name) {
  return h('bdi', { class: 'id' }, name === '' ? h('span', { class: 'unseen-sign' }, 'no id') : [...name].map((character, i, all) => seen(character, all[i - 1], all[i + 1])));
}

/** seen is a character that can be seen: those that show nothing, or turn what follows, as their number; a space that is not between two others that show. */
function seen(character, before = ' ', behind = ' ') {
  if (character === ' ') return before === ' ' || behind === ' ' ? h('span', { class: 'unseen-sign' }, '␣') : ' ';
  if (!/[\p{C}\p{Z}]/u.test(character)) return character;
  return h('span', { class: 'unseen-sign' }, `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`);
}

/** facts are names and values, as a list of descriptions; a row that is nothing is left out. */
export function facts(...rows) {
  return h('dl', { class: 'facts' }, rows.filter(Boolean).map(([name, ...value]) => h('div', null, h('dt', null, name), h('dd', null, ...value))));
}
