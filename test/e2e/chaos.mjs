// make chaos: SIGKILL at random instants during provision, extend and revoke, against a real PostgreSQL. After each restart
// no role of ours may be left without a live grant within 10 s, and no grant may be closed whose role exists.
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { World, until } from './harness.mjs';

const rounds = Number(process.argv[2] ?? 40);
let seed = Number(process.argv[3] ?? Date.now() % 1e9);
const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
console.log(`chaos: ${rounds} rounds, seed ${seed}`);

const w = await World.start();
await w.login('dana');
const credentials = [await w.creds('dana', '--for', '5m'), await w.creds('dana', '--role', 'writer', '--for', '5m')];
const token = JSON.parse((await import('node:fs')).readFileSync(`${w.env('dana').XDG_STATE_HOME}/daypass/logins.json`, 'utf8')).logins[0].token;
const api = (method, path, body) => fetch(`${w.url}/t/default/api/v1${path}`, { method, headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) }).then((r) => r.json());
const stored = () => {
  const db = new DatabaseSync(`${w.data}/daypass.db`, { readOnly: true });
  try { return db.prepare('SELECT body FROM grants').all().map((r) => JSON.parse(Buffer.from(r.body).toString())); } finally { db.close(); }
};
const kinds = ['provision', 'extend', 'revoke', 'verify'];
const wanted = ['provisioning/provision', 'active', 'active/extend', 'revoking/revoke', 'revoking/verify'];
const killed = Object.fromEntries(wanted.map((name) => [name, 0]));
const hits = {};  // state -> the instants that met it, so that a short state is aimed at and not only stumbled upon
/** What to do in this round and how long after it to kill, in ms. */
function plan() {
  const rarest = wanted.reduce((a, b) => (killed[b] < killed[a] ? b : a));
  if (hits[rarest] && random() < 0.5) {
    const near = hits[rarest][Math.floor(random() * hits[rarest].length)];
    return { what: near.what, after: Math.max(0, near.after + (random() - 0.5) * 3) };
  }
  const what = ['provision', 'extend', 'revoke'][Math.floor(random() * 3)];
  return { what, after: random() * { provision: 60, extend: 12, revoke: 45 }[what] };
}
let leftovers = 0, falseClosed = 0, worst = 0;
const pause = (ms) => new Promise((r) => { setTimeout(r, ms); });

for (let round = 1; round <= rounds; round += 1) {
  const clients = [];
  const open = async (c) => {
    const client = new pg.Client(w.options(c));
    client.on('error', () => {});
    clients.push(client);
    await client.connect().catch(() => {});
  };
  const { what, after } = plan();
  const running = (await api('GET', '/grants')).grants.filter((g) => g.state === 'active');
  if (what === 'provision') {
    for (const g of running) await api('POST', `/grants/${g.id}/end`);
    for (const c of credentials) open(c);
    await pause(after);
  } else {
    if (what === 'extend') for (const g of running) await api('POST', `/grants/${g.id}/end`);
    await Promise.all(credentials.map(open));
    const grants = (await api('GET', '/grants')).grants.filter((g) => g.state === 'active');
    const done = grants.map((g) => (what === 'extend' ? api('POST', `/grants/${g.id}/extend`, { for: `${Math.floor(10 + random() * 20)}m` }) : api('POST', `/grants/${g.id}/end`)).catch(() => {}));
    void done;
    await pause(after);
  }
  await w.stopServer('SIGKILL');
  for (const g of stored()) {
    if (g.state === 'closed') continue;
    const name = g.open === undefined ? g.state : `${g.state}/${kinds[g.open]}`;
    killed[name] = (killed[name] ?? 0) + 1;
    (hits[name] ??= []).push({ what, after });
  }
  for (const c of clients) c.end().catch(() => {});
  await w.startServer();
  const begun = Date.now();
  const bad = async () => {
    // The store first: what is closed then must be gone now. (The other way round a role may just have been dropped.)
    const grants = stored();
    const roles = new Set(await w.pg.roles());
    falseClosed += grants.filter((g) => g.state === 'closed' && roles.has(g.account)).length;
    const live = new Set(grants.filter((g) => g.state === 'active' || g.state === 'provisioning').map((g) => g.account));
    const stuck = grants.filter((g) => g.state === 'revoking' || g.state === 'provisioning').length;
    return [...roles].filter((r) => !live.has(r)).length + stuck;
  };
  await until(async () => (await bad()) === 0, 'a clean server', 10000).catch(() => { leftovers += 1; });
  worst = Math.max(worst, Date.now() - begun);
}
const verified = await w.cli('operator', ['audit', 'verify']);
console.log(`killed in:\n${Object.entries(killed).sort().map(([k, v]) => `  ${k.padEnd(24)} ${v}`).join('\n')}`);
console.log(`rounds with something left after 10 s: ${leftovers}; grants closed whose role existed: ${falseClosed}; slowest clean-up ${worst} ms; audit log: ${verified.code === 0 ? 'verifies' : verified.err}`);
await w.stop();
const least = rounds >= 200 ? 20 : 0;
const missed = wanted.filter((name) => killed[name] < least);
if (missed.length) console.log(`killed fewer than ${least} times in: ${missed.join(', ')}`);
process.exit(missed.length === 0 && leftovers === 0 && falseClosed === 0 && verified.code === 0 ? 0 : 1);
