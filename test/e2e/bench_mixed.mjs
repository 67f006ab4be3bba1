// Figures of a revocation that meets 1,000 live sessions in every state that a client can be in: idle, in a COPY, asleep on the
// server, in an open transaction, in the middle of a TLS record, and stopped with its buffers full. Clients live in processes of
// their own (`node bench_mixed.mjs '[{"state": …, "options": …}, …]'`) and note when their streams end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { World, until } from './harness.mjs';

export const states = ['idle', 'COPY', 'asleep', 'transaction', 'half a TLS record', 'stopped'];
const statements = {
  // 20 rows a second each: what is measured is the cut, not what PostgreSQL can stream on two cores. A series in FROM would be
  // written to disk first.
  COPY: 'COPY (SELECT repeat(\'x\', 1023), pg_sleep(0.05), generate_series(1, 1000000)) TO STDOUT',
  asleep: 'SELECT pg_sleep(3600)',
  transaction: 'BEGIN; SELECT count(*) FROM orders',
  stopped: 'COPY (SELECT repeat(\'x\', 1023), generate_series(1, 100000000)) TO STDOUT',
};

/** Between a client and the gate; lets only half of what comes through once it is told to. */
async function relay(to) {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const self = { port: server.address().port, halve: false };
  server.once('connection', (client) => {
    server.close();
    self.gate = net.connect({ port: to, host: '127.0.0.1', noDelay: true });
    client.on('data', (d) => { if (self.halve !== 'done') self.gate.write(self.halve ? d.subarray(0, d.length >> 1) : d); if (self.halve) self.halve = 'done'; });
    self.gate.on('data', (d) => client.write(d)).on('error', () => {});
    client.on('error', () => {});
  });
  return self;
}

/** A client in `state`; `note()` is called when its stream has ended. */
async function client({ state, options }, note) {
  const between = state === 'half a TLS record' ? await relay(options.port) : null;
  const c = new pg.Client({ ...options, ...(between && { host: 'localhost', port: between.port }) });
  c.on('error', () => {});
  await c.connect();
  if (state === 'transaction') await c.query(statements.transaction);
  if (between) between.halve = true;
  const { stream } = c.connection;
  if (['COPY', 'asleep', 'stopped'].includes(state)) c.connection.query(statements[state]);
  if (between) c.connection.query('SELECT 1');
  for (const event of ['end', 'data', 'error', 'close']) stream.removeAllListeners(event);
  stream.on('error', () => {});
  if (state === 'stopped') { stream.pause(); return; }
  stream.resume();
  // The end of the stream, or the reset that stands for it: both come without a buffer. Read below Node's streams, which take 30 us
  // for each end; with 800 of them what would be measured is this client.
  (between?.gate ?? stream)._handle.onread = (bytes) => { if (!bytes) note(); };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const wanted = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
  const ended = [];
  let left = wanted.filter((one) => one.state !== 'stopped').length;
  for (let i = 0; i < wanted.length; i += 10)
    await Promise.all(wanted.slice(i, i + 10).map((one, n) => client(one, () => {
      if (ended[i + n]) return;
      ended[i + n] = String(process.hrtime.bigint());
      left -= 1;
      if (left === 0) process.stdout.write(`${JSON.stringify(ended)}\n`);
    })));
  process.stdout.write('ready\n');
  await new Promise(() => { setInterval(() => {}, 1 << 30); });
}

/** The clients in a process of their own: `line(n)` is the nth that it says. */
function clients(w, wanted, ahead) {
  const file = w.write(`clients-${wanted[0].state.replaceAll(' ', '-')}.json`, JSON.stringify(wanted));
  const [command, ...first] = [...ahead, process.execPath];
  const child = spawn(command, [...first, new URL(import.meta.url).pathname, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  return { child, line: (n) => until(() => out.split('\n').length > n && out.split('\n')[n - 1], 'the clients', 60_000) };
}

/** How many sockets with this local port a process still holds (of the kernel's table; a closed one has no inode). */
function held(port) {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  let n = 0;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of fs.readFileSync(table, 'utf8').split('\n')) {
      const field = line.trim().split(/\s+/);
      if (field.length > 9 && `${field[1]} `.endsWith(hex) && field[3] !== '0A' && field[9] !== '0') n += 1;
    }
  return n;
}

/**
 * `count` sessions of `logins` logins. `tokenOf` signs in; `signal(sub)` ends all logins of a person and gives the time at which
 * it was sent. Prints [{state, times in ms}], and when the last statement and the last account were gone.
 */
export async function benchMixed({ tokenOf, sendSignal, named, ahead, print, count = 1000, logins = 50 }) {
  const w = await World.start({ connections: count + 60 });
  const run = async (what, subs, end) => {
    const made = [];
    for (const sub of subs) {
      const token = await tokenOf(w, named(sub));
      const res = await fetch(`${w.url}/t/default/api/v1/credentials`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: '{"target":"pg/orders"}' });
      if (!res.ok) throw new Error(await res.text());
      made.push({ ...(await res.json()), sub });
    }
    const wanted = Array.from({ length: count }, (_, i) => {
      const state = states[i % states.length], c = made[Math.floor(i / states.length) % made.length];
      const tls = state === 'half a TLS record' || i % 2 === 0;
      return { state, sub: c.sub, options: { host: 'localhost', port: c.port, user: c.user, password: c.password, database: c.database, ssl: tls ? { ca: c.ca_pem, servername: 'localhost' } : false } };
    });
    const stopped = wanted.filter((one) => one.state === 'stopped'), live = wanted.filter((one) => one.state !== 'stopped');
    const asleep = clients(w, stopped, []), awake = clients(w, live, ahead);
    await asleep.line(1);
    await awake.line(1);
    // Full to the brim: PostgreSQL waits for the gateway, which waits for the client.
    await until(async () => (await w.pg.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename LIKE 'dp\\_%' AND wait_event = 'ClientWrite'"))[0].n >= stopped.length, 'the buffers of the stopped clients to be full', 60_000);
    asleep.child.kill('SIGSTOP');
    const before = await w.pg.backends();
    if (before.length !== count) throw new Error(`${before.length} sessions instead of ${count}`);
    const port = wanted[0].options.port;
    const began = await end(w);
    const last = began[began.length - 1].begun;
    const since = () => Number(process.hrtime.bigint() - last) / 1e6;
    // While the awake ones are cut this looks at nothing: it would take their processor.
    const ends = JSON.parse(await awake.line(2)).map(BigInt);
    await until(() => held(port) === 0, 'the sockets of the stopped clients', 30_000);
    const sockets = since();
    await until(async () => (await w.pg.backends()).length === 0, 'the statements to end', 60_000);
    const statementsGone = since();
    await until(async () => (await w.pg.roles()).length === 0, 'the accounts to be gone', 60_000);
    const accounts = since();
    asleep.child.kill('SIGKILL');
    awake.child.kill('SIGKILL');
    const begunOf = Object.fromEntries(began.flatMap(({ sub, begun }) => (sub ? [[sub, begun]] : [])));
    const times = states.filter((s) => s !== 'stopped').map((state) => ({ state, times: live.flatMap((one, i) => (one.state === state ? [Number(ends[i] - (begunOf[one.sub] ?? last)) / 1e6] : [])) }));
    print({ what, count, times, sockets, statements: statementsGone, accounts });
  };
  const each = Array.from({ length: logins }, (_, i) => `mixed-${i}`);
  await run(`${logins} logins, a signal each`, each, async () => {
    const sent = [];
    for (const sub of each) sent.push({ sub, ...(await sendSignal(w, sub)) });
    return sent;
  });
  await run(`${logins} logins of one person, one signal for all`, Array.from({ length: logins }, () => 'mixed-all'), async () => [{ ...(await sendSignal(w, 'mixed-all')) }]);
  await w.stop();
}
