// Figures of many grants: 10,000 that end in the same second while people log in at the gate, and a start over a store that has
// a million. Grants and accounts are copies of a real one, written into the store and onto the server while Daypass is down.
import crypto from 'node:crypto';
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import pg from 'pg';
import { until } from './harness.mjs';

const pause = (ms) => new Promise((r) => setTimeout(r, ms));
/** The 26 letters of the `i`th copy, in the alphabet of grant ids. */
const letters = (i) => String(i).padStart(26, '0').replace(/[0189]/g, (d) => ({ 0: 'a', 1: 'b', 8: 'c', 9: 'd' })[d]);
const password = 'storm-of-a-test';

const metric = async (w, name) => Number((await (await fetch(`${w.url}/metrics`)).text()).match(new RegExp(`^${name} ([\\d.e+]+)$`, 'm'))?.[1] ?? NaN);

/** In kB: what is resident and not shared with files. */
const rss = (w) => Number(fs.readFileSync(`/proc/${w.server.pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+)/m)[1]);

function sqlite(w, sql) {
  const done = spawnSync('sqlite3', ['-bail', `${w.data}/daypass.db`], { input: sql, encoding: 'utf8', maxBuffer: 1 << 24 });
  if (done.status !== 0) throw new Error(`sqlite3: ${done.stderr}`);
  return done.stdout.trim();
}

/** One real grant that the copies are made of; then the server is down. */
async function template(w, creds) {
  const c = await w.connect(creds);
  const [account] = await w.pg.roles();
  await c.end();
  await w.stopServer();
  return account.split('_')[1];
}

/** `count` grants of `sessions` logins, with ids from number `from` on; `ends` is SQL for the end in ms since 1970, of the copy `i`. */
function copyGrants(w, instance, { count, sessions, ends, from = 0 }) {
  sqlite(w, `PRAGMA synchronous = off; PRAGMA cache_size = -400000; BEGIN;
CREATE TEMP TABLE t AS SELECT * FROM grants WHERE state = 'active' LIMIT 1;
CREATE TEMP TABLE s AS SELECT d.* FROM documents d, t WHERE d.kind = 'session' AND d.key = CAST(t.session AS BLOB);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${sessions})
INSERT INTO documents (tenant, kind, key, version, body, expires_at)
SELECT s.tenant, s.kind, CAST('ls_copy${from}_' || i AS BLOB), 1, CAST(json_remove(CAST(s.body AS TEXT), '$.revalidation') AS BLOB), s.expires_at FROM n, s;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${count}),
c(i, letters, session, ends) AS (SELECT i, replace(replace(replace(replace(printf('%026d', i + ${from}), '0', 'a'), '1', 'b'), '8', 'c'), '9', 'd'), 'ls_copy${from}_' || (i % ${sessions}), ${ends} FROM n)
INSERT INTO grants (tenant, id, version, state, session, principal, target, opened_at, body, wake_at, wake_idle, settled)
SELECT t.tenant, 'gr_' || letters, t.version, 'active', c.session, t.principal, t.target, t.opened_at,
  CAST(json_set(CAST(t.body AS TEXT), '$.id', 'gr_' || letters, '$.session', c.session, '$.account', 'dp_${instance}_' || letters, '$.connections', 0,
    '$.ends_at', strftime('%Y-%m-%dT%H:%M:%fZ', ends / 1000.0, 'unixepoch'),
    '$.offers', json('[{"policy":"data-read","duration_ms":86400000,"idle_ms":86400000,"connections":4}]')) AS BLOB),
  ends, 86400000, 1 FROM c, t;
COMMIT;`);
}

/** Their accounts, as Daypass would have made them, that log in with `password` until `ends`. */
async function copyAccounts(w, instance, count, ends) {
  const salt = Buffer.alloc(16, 7);
  const salted = crypto.pbkdf2Sync(password, salt, 1, 32, 'sha256');
  const mac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
  const stored = crypto.createHash('sha256').update(mac(salted, 'Client Key')).digest('base64');
  const verifier = `SCRAM-SHA-256$1:${salt.toString('base64')}$${stored}:${mac(salted, 'Server Key').toString('base64')}`;
  const admin = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: 'daypass_admin', password: 'admin-of-a-test', database: 'orders' });
  await admin.connect();
  for (let from = 0; from < count; from += 200) {
    let sql = 'BEGIN;';
    for (let i = from; i < Math.min(count, from + 200); i += 1) {
      const name = `dp_${instance}_${letters(i)}`;
      sql += `CREATE ROLE ${name} LOGIN PASSWORD '${verifier}' VALID UNTIL '${new Date(ends).toISOString()}' CONNECTION LIMIT 4 IN ROLE orders_reader;COMMENT ON ROLE ${name} IS 'daypass ${instance} default/gr_${letters(i)}';`;
    }
    await admin.query(`${sql}COMMIT`);
  }
  await admin.end();
}

/** True when the account lets somebody in. */
async function logsIn(w, instance, i) {
  const c = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: `dp_${instance}_${letters(i)}`, password, database: 'orders' });
  c.on('error', () => {});
  try { await c.connect(); await c.query('SELECT 1'); return true; } catch { return false; } finally { await c.end().catch(() => {}); }
}

export async function benchStorm({ w, creds, count = 10_000, print }) {
  const instance = await template(w, creds);
  const ends = Math.ceil((Date.now() + 30_000 + count * 3) / 1000) * 1000;
  copyGrants(w, instance, { count, sessions: 100, ends: String(ends) });
  await copyAccounts(w, instance, count, ends);
  await w.startServer();
  const mine = await w.connect(creds, { ssl: false });
  const client = w.options(creds, { ssl: false });
  const logins = [];
  let over = false, failed = 0;
  // A login every 20 ms, whether or not the one before is through.
  const people = (async () => {
    const open = new Set();
    while (!over) {
      const one = (async () => {
        const at = Date.now(), t = performance.now();
        const c = new pg.Client(client);
        c.on('error', () => {});
        try { await c.connect(); await c.query('SELECT 1'); logins.push([at, performance.now() - t]); } catch { failed += 1; } finally { await c.end().catch(() => {}); }
      })();
      open.add(one);
      one.finally(() => open.delete(one));
      await pause(20);
    }
    await Promise.all(open);
  })();
  await pause(Math.max(0, ends - 15_000 - Date.now()));
  const before = rss(w);
  await pause(Math.max(0, ends - 6_000 - Date.now()));
  const early = ends - Date.now() < 2_000;
  const inBefore = (await Promise.all([1, 2, 3].map((i) => logsIn(w, instance, count - i)))).filter(Boolean).length;
  let most = before, tried = 0, let_in = 0, left = count, gone = 0;
  await pause(Math.max(0, ends - Date.now()));
  const look = setInterval(() => { most = Math.max(most, rss(w)); }, 100);
  while (left > 0 && Date.now() < ends + 120_000) {
    if (Date.now() < ends + 3_000) {
      for (let i = 0; i < 5; i += 1, tried += 1) let_in += await logsIn(w, instance, Math.floor(Math.random() * count)) ? 1 : 0;
    } else {
      await pause(100);
    }
    const [{ n }] = await w.pg.sql(`SELECT count(*)::int AS n FROM pg_roles WHERE rolname LIKE 'dp\\_${instance}\\_aaaaaaaa%'`);
    left = n;
    gone = Date.now() - ends;
  }
  clearInterval(look);
  over = true;
  await people;
  await mine.end();
  const during = logins.filter(([at]) => at >= ends && at <= ends + gone).map(([, ms]) => ms);
  const calm = logins.filter(([at]) => at < ends - 6_000).map(([, ms]) => ms);
  const closed = await until(() => metric(w, 'daypass_grants_revoking').then((n) => n === 0), 'the grants to be closed', 60_000).then(() => Date.now() - ends);
  print({ count, left, gone, closed, tried, let_in, inBefore, early, failed, during, calm, growth: most - before });
}

export async function benchRestart({ w, creds, count = 1_000_000, sessions = 10_000, print }) {
  const start = async () => {
    const t = performance.now();
    await w.startServer();
    const ready = performance.now() - t;
    const first = rss(w);
    await pause(8_000);
    return { ready, first, later: rss(w) };
  };
  const instance = await template(w, creds);
  // Nobody answers: an account for each would be a bench of PostgreSQL.
  await w.pg.stop();
  const few = await start();
  await w.stopServer();
  copyGrants(w, instance, { count, sessions, from: 1_000_000_000, ends: `CAST(strftime('%s') AS INTEGER) * 1000 + 3600000 + (i % 3600) * 5000` });
  const starts = [];
  for (let i = 0; i < 3; i += 1) {
    starts.push(await start());
    if (i < 2) await w.stopServer();
  }
  print({ count, sessions, few, starts, active: await metric(w, 'daypass_grants_active'), loaded: await metric(w, 'daypass_grants_in_memory'), size: fs.statSync(`${w.data}/daypass.db`).size });
}
