// Where in the page somebody is, as the part of the address behind #.
//
//	#/                     the first app
//	#/app/12345            one app
//	#/app/12345/user/alice a user of it

/** route reads the address. */
export function route() {
  const parts = location.hash.split('/');
  const app = parts[1] === 'app' && /^\d+$/.test(parts[2] ?? '') ? Number(parts[2]) : null;
  return { app, user: app !== null && parts[3] === 'user' && parts.length === 5 ? plain(parts[4]) : null };
}

function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // written by hand
  }
}

/** appPath is the address of an app. */
export function appPath(app) {
  return `#/app/${app}`;
}

/** userPath is the address of a user. */
export function userPath(app, user) {
  return `#/app/${app}/user/${encodeURIComponent(user)}`;
}
