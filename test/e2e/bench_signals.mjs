// Figures of logout signals: from the provider's request to the end of each client's stream, among 200 live logins.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import * as jose from 'jose';
import { people, tokenOf, until } from './harness.mjs';

/** `count` logins by `subOf(i)`, each with a credential: what a client needs to connect, without TLS. */
async function logins(w, count, subOf) {
  const out = [];
  for (let i = 0; i < count; i += 1) {
    const token = await tokenOf(w, subOf(i));
    const res = await fetch(`${w.url}/t/default/api/v1/credentials`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: '{"target":"pg/orders"}' });
    if (!res.ok) throw new Error(await res.text());
    const { user, password, database, port } = await res.json();
    out.push({ host: 'localhost', port, user, password, database, ssl: false });
  }
  return out;
}

/** Sends the provider's logout token for `sub` on `agent`'s connection: when it was sent (hrtime), and answered (ms later). */
export async function sendSignal(w, sub, agent) {
  const { privateKey, kid } = w.op.signing;
  const iat = Math.floor(Date.now() / 1000);
  const claims = { iss: w.op.issuer, aud: 'daypass', sub, iat, exp: iat + 120, jti: randomBytes(12).toString('hex'), events: { 'http://schemas.openid.net/event/backchannel-logout': {} } };
  const token = await new jose.SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid, typ: 'logout+jwt' }).sign(privateKey);
  return new Promise((resolve, reject) => {
    const begun = process.hrtime.bigint();
    const req = http.request(`${w.url}/t/default/idp/demo/logout`, { method: 'POST', agent, headers: { 'content-type': 'application/x-www-form-urlencoded' } }, (res) => {
      const answered = Number(process.hrtime.bigint() - begun) / 1e6;
      res.resume();
      res.on('end', () => (res.statusCode === 200 ? resolve({ begun, answered }) : reject(new Error(`the logout was answered ${res.statusCode}`))));
    });
    req.on('error', reject);
    req.end(`logout_token=${token}`);
  });
}

/** Makes a person of the data department of it. */
export const named = (sub) => { people[sub] = { ...people.dana, sub }; return sub; };

/** `watcher` starts a client that notes when its connections end; `print(what, rounds)` says what came of [{times, answered}]. */
export async function benchSignals({ w, watcher, print, count = 200 }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const others = (await w.pg.roles()).length;
  const gone = () => until(async () => (await w.pg.roles()).length <= others, 'the accounts to be gone', 60000);

  const watchEach = await watcher(count, await logins(w, count, (i) => named(`each-${i}`)));
  const sent = [];
  for (let i = 0; i < count; i += 1) sent.push(await sendSignal(w, `each-${i}`, agent));
  const ends = await watchEach.ended();
  print(`logout signal to end of stream, plain, ${count} logins, a signal each`, sent.map(({ begun, answered }, i) => ({ times: [Number(ends[i] - begun) / 1e6], answered })));
  await gone();

  const got = [];
  for (let r = 0; r < 3; r += 1) {
    const watch = await watcher(count, await logins(w, count, () => named(`all-${r}`)));
    const { begun, answered } = await sendSignal(w, `all-${r}`, agent);
    got.push({ times: (await watch.ended()).map((t) => Number(t - begun) / 1e6), answered });
    await gone();
  }
  print(`logout signal to end of stream, plain, ${count} logins, one signal for all, 3 rounds`, got);
  agent.destroy();
}
