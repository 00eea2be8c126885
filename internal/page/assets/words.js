// Numbers and times as a person reads them.

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** count is a whole number: 1,234,567. */
export function count(n) {
  return grouped.format(n);
}

/** many is a count and what is counted. */
export function many(n, one, more = one + 's') {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** short is a number that fits beside an axis: 1.2M. */
export function short(n) {
  const size = Math.abs(n);
  for (const [at, letter] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
    if (size >= at) return trim(n / (letter === 'k' ? 1e3 : at), 1) + letter;
  }
  return size >= 100 || Number.isInteger(n) ? count(n) : trim(n, 2);
}

function trim(n, digits) {
  return n.toFixed(digits).replace(/\.?0+$/, '');
}

/** between is the space between a number and its unit, where no line is broken. */
const between = '\u00a0';

/** share is a share as per cent: 100 % and 0 % only where it is all and none. */
export function share(s) {
  const cent = s * 100;
  if (cent > 0 && cent < 0.1) return `under 0.1${between}%`;
  if (cent < 100 && cent > 99.9) return `over 99.9${between}%`;
  return `${cent < 10 || cent > 99 ? trim(cent, 1) : Math.round(cent)}${between}%`;
}

/** duration is a number of seconds: 40 ms, 2.4 s, 3 min 20 s, 2 d 4 h. */
export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s === 0) return `0${between}s`;
  if (s < 0.001) return `under 1${between}ms`;
  if (s < 0.9995) return `${Math.round(s * 1000)}${between}ms`;
  if (s < 9.95) return `${trim(s, 1)}${between}s`;
  return pair(Math.round(s));
}

function pair(whole) {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const at = units.findIndex(([size]) => whole >= size);
  const [size, name] = units[at];
  const most = `${count(Math.floor(whole / size))}${between}${name}`;
  if (at === units.length - 1) return most;
  const [nextSize, nextName] = units[at + 1];
  const rest = Math.floor((whole % size) / nextSize);
  return rest ? `${most}${between}${rest}${between}${nextName}` : most;
}

/** took is how long something took, of which the times are known to the millisecond. */
export function took(from, to) {
  return duration(Math.max(0.0005, (Date.parse(to) - Date.parse(from)) / 1000));
}

/** lasted is how long something has lasted that still does, in whole seconds: it does not flicker. */
export function lasted(seconds) {
  return duration(Math.floor(Math.max(0, seconds)));
}

/** clock is a time of day, UTC: 13:04:05. */
export function clock(time) {
  return new Date(time).toISOString().slice(11, 19);
}

/** moment is a time of day, and its date where that is not today's. */
export function moment(time, now) {
  const at = new Date(time).toISOString();
  const today = new Date(now).toISOString();
  return at.slice(0, 10) === today.slice(0, 10) ? at.slice(11, 19) : `${at.slice(0, 10)} ${at.slice(11, 19)}`;
}

/** fine is a time of day to the millisecond. */
export function fine(time) {
  return new Date(time).toISOString().slice(11, 23);
}

/** age is how long ago a time was, in seconds. */
export function age(time, now) {
  return (now - Date.parse(time)) / 1000;
}

/** status is a status, and in which way. */
export function status(to, detail) {
  return detail ? `${to} (${detail.replaceAll('_', ' ')})` : to;
}
