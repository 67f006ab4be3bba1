// make bench: the gateway beside a direct connection and pgbouncer, in interleaved rounds of one run; then revocation, logout
// signals, start-up and memory, and many tenants. Ratios travel, absolute numbers do not. Medians.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import pg from 'pg';
import copy from 'pg-copy-streams';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { World, freePort, tokenOf, until } from './harness.mjs';
import { benchMixed } from './bench_mixed.mjs';
import { benchSignals, named, sendSignal } from './bench_signals.mjs';
import { benchRestart, benchStorm } from './bench_storm.mjs';
import { benchMute, benchTenants } from './bench_tenants.mjs';

// A light client in a process of its own: logs in `count` times, with the options for all or with those for each, then does
// nothing but note when each connection ends (CLOCK_MONOTONIC, the same for all processes of a machine).
if (process.argv[2] === 'watch') {
  const { count, options } = JSON.parse(process.argv[3]);
  const ended = [];
  let over = 0;
  const open = async (i) => {
    const c = new pg.Client(Array.isArray(options) ? options[i] : options);
    c.on('error', () => {});
    await c.connect();
    const { stream } = c.connection;
    stream.removeAllListeners();
    const note = () => {
      ended[i] = String(process.hrtime.bigint());
      over += 1;
      if (over === count) process.stdout.write(`${JSON.stringify(ended)}\n`, () => process.exit(0));
    };
    stream.once('end', note).on('error', (e) => { if (e.code === 'ECONNRESET') note(); }).resume();
  };
  for (let i = 0; i < count; i += 10) await Promise.all(Array.from({ length: Math.min(10, count - i) }, (_, n) => open(i + n)));
  process.stdout.write('ready\n');
  await new Promise(() => {});
}

const rounds = Number(process.argv[2] ?? 7);
// The parts to run, all of them when none is named: tps copy connect revoke signals mixed memory mute tenants storm restart
const parts = process.argv.slice(3);
const wanted = (part) => parts.length === 0 || parts.includes(part);
const median = (a) => [...a].sort((x, y) => x - y)[Math.floor(a.length / 2)];
const quantile = (a, q) => [...a].sort((x, y) => x - y)[Math.min(a.length - 1, Math.floor(a.length * q))];
const f = (x, n = 2) => x.toFixed(n);
/** Quantile of `a` by that of `b`, and where 95 of 100 such ratios lie when both are drawn again from what was measured. */
const ratio = (a, b, q) => {
  const drawn = (from) => quantile(Array.from(from, () => from[Math.floor(Math.random() * from.length)]), q);
  const ratios = Array.from({ length: 1000 }, () => drawn(a) / drawn(b));
  return `${f(quantile(a, q) / quantile(b, q))} (${f(quantile(ratios, 0.025))} to ${f(quantile(ratios, 0.975))})`;
};
console.log(`machine: ${os.cpus().length} x ${os.cpus()[0].model}, load ${os.loadavg().map((x) => f(x, 1)).join(' ')}, Linux ${os.release()}`);

const w = await World.start();
await w.login('dana');
const creds = await w.creds('dana');
await w.pg.sql("CREATE ROLE direct LOGIN PASSWORD 'direct-of-a-test' IN ROLE orders_reader");
const base = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', PGGSSENCMODE: 'disable', PGDATABASE: 'orders' };
const routes = { direct: { ...base, PGHOST: '127.0.0.1', PGPORT: String(w.pg.port), PGUSER: 'direct', PGPASSWORD: 'direct-of-a-test', PGSSLMODE: 'disable' },
  'direct again': { ...base, PGHOST: '127.0.0.1', PGPORT: String(w.pg.port), PGUSER: 'direct', PGPASSWORD: 'direct-of-a-test', PGSSLMODE: 'disable' },
  gateway: { ...base, PGHOST: '127.0.0.1', PGPORT: String(creds.port), PGUSER: creds.user, PGPASSWORD: creds.password, PGSSLMODE: 'disable' },
  'gateway TLS': { ...base, PGHOST: '127.0.0.1', PGPORT: String(creds.port), PGUSER: creds.user, PGPASSWORD: creds.password, PGSSLMODE: 'require' } };
let bouncer;
if (fs.existsSync('/usr/sbin/pgbouncer')) {
  const port = await freePort();
  const ini = w.write('pgbouncer.ini', `[databases]\norders = host=127.0.0.1 port=${w.pg.port} dbname=orders user=direct password=direct-of-a-test\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = session\ndefault_pool_size = 100\nlogfile = ${w.folder}/postgres/pgbouncer.log\n`);
  let as = {};
  if (process.getuid() === 0) { const l = fs.readFileSync('/etc/passwd', 'utf8').split('\n').find((x) => x.startsWith('postgres:')).split(':'); as = { uid: Number(l[2]), gid: Number(l[3]) }; fs.chownSync(ini, as.uid, as.gid); }
  bouncer = spawn('/usr/sbin/pgbouncer', [ini], { stdio: 'ignore', ...as });
  process.on('exit', () => bouncer.kill('SIGKILL'));
  routes.pgbouncer = { ...base, PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'direct', PGSSLMODE: 'disable' };
}
const script = w.write('select.sql', '\\set id random(1, 1000)\nSELECT total FROM orders WHERE id = :id;\n');
const shuffled = (a) => a.map((x) => [Math.random(), x]).sort((x, y) => x[0] - y[0]).map((x) => x[1]);
// With real-time priority where that is allowed, as if it had a machine of its own: what is measured is when the end
// arrives, not when a client gets the processor beside a hundred server processes that exit.
const ahead = spawnSync('chrt', ['-f', '10', 'true']).status === 0 ? ['chrt', '-f', '10'] : [];
const watcher = async (count, options) => {
  const [command, ...first] = [...ahead, process.execPath];
  const child = spawn(command, [...first, process.argv[1], 'watch', JSON.stringify({ count, options })], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  const line = (n) => until(() => out.split('\n').length > n && out.split('\n')[n - 1], 'the watching client', 60000);
  await line(1);
  return { ended: async () => JSON.parse(await line(2)).map(BigInt) };
};
if (wanted('tps')) for (const clients of [1, 8]) for (const mode of ['simple', 'prepared']) {
  const tps = {}, latency = {};
  for (let r = 0; r < rounds; r += 1) for (const route of shuffled(Object.keys(routes))) {
    // pgbench's time begins before its clients have logged in.
    const done = spawnSync('pgbench', ['-n', '-f', script, '-c', String(clients), '-T', clients === 1 ? '1' : '2', '-M', mode], { env: routes[route], encoding: 'utf8' });
    const got = done.stdout?.match(/tps = ([\d.]+) \(without/);
    if (!got) { console.error(`${route}: ${done.stderr}`); continue; }
    (tps[route] ??= []).push(Number(got[1]));
    (latency[route] ??= []).push(Number(done.stdout.match(/latency average = ([\d.]+)/)[1]) * 1000);
  }
  const ref = median(tps.direct);
  console.log(`${clients} client(s), ${mode}: ${Object.keys(tps).map((k) => `${k} ${f(median(tps[k]) / ref)} (+${f(median(latency[k]) - median(latency.direct), 0)} us)`).join(', ')}${tps.pgbouncer ? `; gateway / pgbouncer ${f(median(tps.gateway) / median(tps.pgbouncer))}` : ''}`);
}
if (wanted('copy')) {
  // 1 GB each way in rows of 1 KiB; what comes in goes to a table of the session's own.
  const rows = 1_000_000;
  const row = Buffer.from(`${'x'.repeat(1023)}\n`);
  const block = Buffer.alloc(row.length * 64, row);
  const ways = {
    out: (c) => pipeline(c.query(copy.to(`COPY (SELECT repeat('x', 1023) FROM generate_series(1, ${rows})) TO STDOUT`)), new Writable({ highWaterMark: 1 << 20, write(b, _, d) { d(); } })),
    in: async (c) => {
      await c.query('CREATE TEMP TABLE landing (line text)');
      await pipeline(Readable.from((function* blocks() { for (let n = 0; n < rows; n += 64) yield block; })(), { objectMode: false, highWaterMark: 1 << 20 }), c.query(copy.from('COPY landing FROM STDIN')));
      const { rows: [{ n }] } = await c.query('SELECT count(*)::int AS n FROM landing');
      if (n !== rows) throw new Error(`${n} rows landed instead of ${rows}`);
      await c.query('DROP TABLE landing');
    },
  };
  for (const [way, run] of Object.entries(ways)) {
    const rate = {};
    for (let r = 0; r < 3; r += 1) for (const route of shuffled(Object.keys(routes))) {
      const e = routes[route];
      const c = new pg.Client({ host: e.PGHOST, port: Number(e.PGPORT), user: e.PGUSER, password: e.PGPASSWORD ?? '', database: 'orders', ssl: e.PGSSLMODE === 'require' ? { rejectUnauthorized: true, ca: creds.ca_pem, servername: 'localhost' } : false });
      await c.connect();
      const t = process.hrtime.bigint();
      await run(c);
      (rate[route] ??= []).push(rows * 1024 / 1e6 / (Number(process.hrtime.bigint() - t) / 1e9));
      await c.end();
    }
    console.log(`COPY ${way} 1 GB: direct ${f(median(rate.direct), 0)} MB/s, against it ${Object.keys(rate).map((k) => `${k} ${f(median(rate[k]) / median(rate.direct))}`).join(', ')}`);
  }
}
if (wanted('connect')) {
  // From "connect" to the first answer with a grant that has to be made, beside the same SQL by hand.
  const mine = [], hand = [];
  for (let r = 0; r < 15; r += 1) {
    const fresh = await w.creds('dana', '--role', 'writer');
    let t = performance.now();
    const c = await w.connect(fresh);
    mine.push(performance.now() - t);
    await c.end();
    const { grants } = JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out);
    for (const g of grants.filter((x) => x.roles[0].endsWith('writer'))) await w.cli('dana', ['grants', 'end', g.id]);
    t = performance.now();
    const admin = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: 'daypass_admin', password: 'admin-of-a-test', database: 'orders' });
    await admin.connect();
    await admin.query("CREATE ROLE hand LOGIN PASSWORD 'hand-of-a-test' VALID UNTIL '2099-01-01' CONNECTION LIMIT 4 IN ROLE orders_writer");
    const h = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: 'hand', password: 'hand-of-a-test', database: 'orders' });
    await h.connect();
    hand.push(performance.now() - t);
    await h.end();
    await admin.query('DROP ROLE hand');
    await admin.end();
  }
  console.log(`from connecting to ready, role made on demand: ${f(median(mine), 1)} ms (policy, journal, TLS, two logins); by hand (login, CREATE ROLE, login): ${f(median(hand), 1)} ms; ratio ${f(median(mine) / median(hand))}`);
}
if (wanted('revoke')) {
  // From sending the one request that ends a grant, on a connection that is open already, to the end of each stream as
  // another process sees it. `fsync` and the account's removal are not part of it: the cut waits for neither.
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const { token } = JSON.parse(fs.readFileSync(`${w.env('dana').XDG_STATE_HOME}/daypass/logins.json`, 'utf8')).logins[0];
  const api = (method, route) => new Promise((resolve, reject) => {
    const req = http.request(`${w.url}/t/default/api/v1${route}`, { method, agent, headers: { authorization: `Bearer ${token}` } }, (res) => {
      let body = '';
      res.on('data', (d) => { body += d; });
      res.on('end', () => resolve(JSON.parse(body)));
    });
    req.on('error', reject);
    req.end();
  });
  const measure = async (count, options) => {
    const watch = await watcher(count, options);
    const { grants } = await api('GET', '/grants');
    const grant = grants.find((g) => g.state === 'active' && g.roles[0].endsWith('reader'));
    const begun = process.hrtime.bigint();
    const answered = api('POST', `/grants/${grant.id}/end`).then(() => Number(process.hrtime.bigint() - begun) / 1e6);
    const times = (await watch.ended()).map((t) => Number(t - begun) / 1e6);
    return { times, answered: await answered };
  };
  const fresh = await w.creds('dana');
  const plain = w.options(fresh, { ssl: false }), tls = w.options(fresh);
  const report = (what, got) => {
    const times = got.flatMap((g) => g.times);
    console.log(`${what}: p50 ${f(quantile(times, 0.5), 1)} ms, p99 ${f(quantile(times, 0.99), 1)} ms, max ${f(Math.max(...times), 1)} ms; account proven gone after ${f(median(got.map((g) => g.answered)), 0)} ms`);
  };
  const cases = { 'plain, 1 session': [1, plain, 30], 'TLS, 1 session': [1, tls, 10], 'plain, 100 sessions': [100, plain, 3], 'TLS, 100 sessions': [100, tls, 3] };
  await measure(1, plain);
  for (const [what, [count, options, times]] of Object.entries(cases)) {
    const got = [];
    for (let i = 0; i < times; i += 1) got.push(await measure(count, options));
    report(`revoke request to end of stream, ${what}, ${times} rounds`, got);
  }
  agent.destroy();
}
if (wanted('signals')) {
  await benchSignals({ w, watcher, print: (what, got) => {
    const times = got.flatMap((g) => g.times);
    console.log(`${what}: p50 ${f(quantile(times, 0.5), 1)} ms, p99 ${f(quantile(times, 0.99), 1)} ms, max ${f(Math.max(...times), 1)} ms; acknowledged after ${f(median(got.map((g) => g.answered)), 1)} ms`);
  } });
}
if (wanted('mixed')) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  await benchMixed({ tokenOf, named, ahead, sendSignal: (at, sub) => sendSignal(at, sub, agent), print: (m) => {
    const p = (a) => `p50 ${f(quantile(a, 0.5), 1)} ms, p99 ${f(quantile(a, 0.99), 1)} ms, max ${f(Math.max(...a), 1)} ms`;
    console.log(`logout signal to end of stream, ${m.count} sessions in mixed state, ${m.what}: ${p(m.times.flatMap((t) => t.times))} (aim 20, 250, 1000)`);
    for (const { state, times } of m.times) console.log(`  ${state}: ${p(times)}`);
    console.log(`  sockets of stopped clients closed ${f(m.sockets, 0)} ms after the last signal, all statements gone after ${f(m.statements, 0)} ms, all accounts after ${f(m.accounts, 0)} ms`);
  } });
  agent.destroy();
}
if (wanted('memory')) {
  const rss = () => Number(fs.readFileSync(`/proc/${w.server.pid}/smaps_rollup`, 'utf8').match(/^Pss:\s+(\d+)/m)[1]);
  await w.stopServer();
  const starts = [];
  for (let r = 0; r < 5; r += 1) { const t = performance.now(); await w.startServer(); starts.push(performance.now() - t); if (r < 4) await w.stopServer(); }
  const idle = rss();
  const fresh = await w.creds('dana');
  for (const [name, ssl] of [['plain', false], ['TLS', { ca: fresh.ca_pem, servername: 'localhost' }]]) {
    const connect = async (n) => {
      const all = [];
      while (all.length < n) all.push(...await Promise.all(Array.from({ length: 10 }, () => w.connect(fresh, { ssl }))));
      return all;
    };
    const warm = await connect(40);
    const from = rss();
    const more = await connect(160);
    const to = rss();
    console.log(`memory per idle connection, ${name}: ${f((to - from) / 160, 1)} kB (proportional set size, 40 to 200 connections)`);
    await Promise.all([...warm, ...more].map((c) => c.end()));
    await until(async () => JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out).grants.every((g) => g.connections === 0), 'the connections to end');
  }
  console.log(`start to ready: ${f(median(starts), 0)} ms (polled every 20 ms); idle: ${f(idle / 1024, 1)} MB`);
}
if (wanted('mute')) {
  await benchMute({ w, rounds: Math.min(rounds, 6), samples: 300, print: ({ alone, refused, mute }) => {
    console.log(`sign-in, from authorize to token, ${alone.length} each: alone ${[0.5, 0.99].map((q) => f(quantile(alone, q), 1)).join(' / ')} ms (p50 / p99); while 100 sign-ins of another tenant wait for its mute provider ${[0.5, 0.99].map((q) => f(quantile(mute, q), 1)).join(' / ')} ms; beside the same requests to a provider that refuses them ${[0.5, 0.99].map((q) => f(quantile(refused, q), 1)).join(' / ')} ms`);
    for (const [what, to] of [['alone', alone], ['refused', refused]]) console.log(`  ratio of mute to ${what}: p50 ${ratio(mute, to, 0.5)}, p99 ${ratio(mute, to, 0.99)}`);
    console.log(`  ratio of alone to itself, one half of the rounds to the other: p99 ${ratio(alone.filter((_, i) => Math.floor(i / 300) % 2), alone.filter((_, i) => Math.floor(i / 300) % 2 === 0), 0.99)}`);
  } });
}
if (wanted('tenants')) {
  await benchTenants({ w, rounds: Math.min(rounds, 5), print: ({ few, many, used, making, count }) => {
    console.log(`${count} tenants of 2 identity providers each against one tenant: start to ready ${f(median(many.took), 0)} ms against ${f(median(few.took), 0)} ms (polled every 20 ms); idle RSS ${f(many.rss / 1024, 1)} MB against ${f(few.rss / 1024, 1)} MB, ${f((many.rss - few.rss) / count, 1)} kB per tenant, ${f(used / 1024, 1)} MB after a page of each; made and applied in ${f(making / count, 1)} ms each`);
  } });
}
if (wanted('storm')) {
  await benchStorm({ w, creds, print: (s) => {
    const p = (a) => (a.length ? [0.5, 0.99].map((q) => f(quantile(a, q), 1)).join(' / ') : 'none');
    console.log(`${s.count} grants ending in the same second: ${s.inBefore} of 3 accounts let somebody in just before (aim 3${s.early ? '; too late to tell' : ''}); of ${s.tried} tried in the 3 s after it ${s.let_in} did (aim 0); ${s.count - s.left} accounts gone ${f(s.gone / 1000, 1)} s after it (aim all, <= 15 s), the last grant closed after ${f(s.closed / 1000, 1)} s`);
    console.log(`  logins at the gate, 50 a second: ${p(s.calm)} ms before (p50 / p99), ${p(s.during)} ms during (aim p99 <= 300 ms), ${s.failed} refused; memory grew by ${f(s.growth / 1024, 0)} MB (aim <= 200 MB)`);
  } });
}
if (wanted('restart')) {
  await benchRestart({ w, creds, print: (r) => {
    console.log(`start to ready with ${r.count} open grants of ${r.sessions} logins (store of ${f(r.size / 1e9, 2)} GB): ${f(median(r.starts.map((s) => s.ready)), 0)} ms (aim <= 2000 ms; polled every 20 ms), with one grant ${f(r.few.ready, 0)} ms; memory at ready ${f(median(r.starts.map((s) => s.first)) / 1024, 0)} MB, 8 s later ${f(median(r.starts.map((s) => s.later)) / 1024, 0)} MB, with one grant ${f(r.few.later / 1024, 0)} MB; grants counted as active: ${r.active}, in memory: ${r.loaded}`);
  } });
}
bouncer?.kill('SIGTERM');
await w.stop();
process.exit(0);
