// Faults around a real server: a PostgreSQL that is away, that lies, that has no connection left, that the network hides; a disk that
// is full or does not sync; a process that sleeps; a clock that jumps. Each is played three times: without the fault
// (control), with it, and with a guard taken away (mutant), where the checks must turn red.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import pg from 'pg';
import { daypass, until } from '../harness.mjs';
import { Liar } from './liar.mjs';
import { Rig, pause, tool } from './rig.mjs';

const settled = (g) => g?.state === 'active' && g.open === undefined;
const run = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' });
/** In namespaces of our own (tools/chaos), where what is mounted and cut is nobody else's. */
const alone = process.env.DAYPASS_CHAOS_ALONE === '1';
const hidden = '127.0.0.2';

/** The numbers that the preloaded library looks at (test/chaos/preload/faults.h). */
class Switches {
  static names = ['wall_ns', 'frozen', 'sync_errno', 'sync_after', 'syncs', 'refused', 'wall_reads', 'unused'];
  constructor(file) {
    this.file = file;
    fs.writeFileSync(file, Buffer.alloc(64));
    this.fd = fs.openSync(file, 'r+');
  }
  set(name, value) {
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(value));
    fs.writeSync(this.fd, b, 0, 8, 8 * Switches.names.indexOf(name));
  }
  get(name) {
    const b = Buffer.alloc(8);
    fs.readSync(this.fd, b, 0, 8, 8 * Switches.names.indexOf(name));
    return Number(b.readBigInt64LE());
  }
  clear() { for (const name of Switches.names) this.set(name, 0); }
}

export class Faults {
  static async start({ full = false } = {}) {
    const self = new Faults();
    self.full = full;
    self.lines = [];
    self.late = {};
    self.preload = fs.existsSync(tool('libdaypass-faults.so')) ? tool('libdaypass-faults.so') : undefined;
    self.net = alone && run('ip', 'tuntap', 'add', 'dev', 'hole', 'mode', 'tun').status === 0 && run('ip', 'link', 'set', 'hole', 'up').status === 0;
    if (self.net) for (const name of ['hole', 'all']) fs.writeFileSync(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, '1');
    self.rig = await Rig.start({
      pgHost: hidden,
      async prepare(w) {
        self.liar = await Liar.start(hidden, w.pg.port);
        fs.mkdirSync(w.data, { mode: 0o700 });
        // A disk that is full for good: what is kept for that moment has tests of its own (disk.test.mjs).
        fs.appendFileSync(w.config, '\n[store]\nreserve_mib = 0\nmin_free_mib = 0\n');
        self.disk = alone && run('mount', '-t', 'tmpfs', '-o', 'size=48m,mode=700', 'none', w.data).status === 0;
      },
    });
    const { w } = self.rig;
    self.switches = new Switches(`${w.folder}/switches`);
    // Few enough to use them all up.
    await self.rig.super.query('ALTER SYSTEM SET max_connections = 60');
    await self.rig.super.query("CREATE ROLE filler LOGIN PASSWORD 'filler'; GRANT CONNECT ON DATABASE orders TO filler");
    await self.rig.kill();
    await self.stopPostgres();
    await self.startPostgres();
    self.rig.bare(() => spawn(daypass, ['server', 'run', '--config', w.config], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...(self.preload && { LD_PRELOAD: self.preload }), DAYPASS_CHAOS_FAULTS: self.switches.file } }));
    await w.startServer();
    return self;
  }
  async stop() {
    const { data } = this.rig.w;
    await this.rig.kill();
    if (this.disk) run('umount', '-l', data);
    await this.rig.stop();
    this.liar.stop();
  }
  async stopPostgres() {
    await this.rig.super.end().catch(() => {});
    await this.rig.w.pg.stop();
  }
  async startPostgres() {
    this.rig.w.pg.launch();
    await this.rig.w.pg.ready();
    await this.rig.connectSuper();
  }
  signal(name) { this.rig.w.server.kill(name); }
  async restart() {
    await this.rig.kill();
    await this.rig.w.startServer();
  }
  /** Nobody has anything, and the server is well. */
  async fresh() {
    this.switches.clear();
    this.rig.dropClients();
    if (this.rig.dead()) await this.rig.w.startServer();
    if (!(await fetch(`${this.rig.w.url}/readyz`).then((r) => r.ok, () => false))) await this.restart();
    await this.rig.endAll();
    await until(async () => (await this.rig.accounts()).length === 0, 'no account');
  }
  /** Somebody at work; {client, grant}. */
  async atWork(credential = this.rig.reader) {
    const known = new Set(this.rig.live().map((g) => g.id));
    const client = await this.rig.open(credential);
    let grant;
    await until(() => { grant = this.rig.live().find((g) => !known.has(g.id) && settled(g)); return grant; }, 'a grant');
    return { client, grant };
  }
  /** `ms` for `what`, kept for the report; a fault when it is more than `most`. */
  took(what, ms, most, how) {
    this.late[what] = Math.max(this.late[what] ?? 0, Math.round(ms));
    if (ms > most) this.rig.fault(`${what} took ${Math.round(ms)} ms`, how);
  }
  /** The client is cut, at the latest `most` ms after `from`. */
  async cut(client, from, what, most, how) {
    await until(() => client.lastError, 'the client to be cut', Math.max(0, from + most - Date.now())).catch(() => {});
    if (!client.lastError) this.rig.fault(`${what}: the client goes on`, how);
    else this.took(`${what}: client cut after`, Date.now() - from, most, how);
  }
  /** A client that comes now is refused or let in, as `wanted` says, or either; for 'any' it may have to wait, too. */
  async comes(credential, wanted, what, most, how) {
    const from = Date.now();
    const client = await Promise.race([this.rig.open(credential), pause(most).then(() => undefined)]);
    const got = client === undefined ? 'kept waiting' : client.refused ? 'refused' : 'let in';
    if (wanted === 'any') return got;
    if (wanted !== 'either' && got !== wanted) this.rig.fault(`${what}: a client was ${got} instead of ${wanted}${client?.refused ? ` (${client.refused.message})` : ''}`, how);
    else if (got === 'kept waiting') this.rig.fault(`${what}: a client was kept waiting`, how);
    if (got === 'refused') this.took(`${what}: refused after`, Date.now() - from, most, how);
    return got;
  }
  end(grant) { this.rig.api('POST', `/grants/${grant.id}/end`).catch(() => {}); }
  async accountGone(name, what, most, how) {
    const from = Date.now();
    await until(async () => !(await this.rig.accounts()).some((a) => a.name === name), 'the account to go', most).catch(() => {});
    if ((await this.rig.accounts()).some((a) => a.name === name)) this.rig.fault(`${what}: account ${name} is left after ${most} ms`, how);
    else this.took(`${what}: account gone after`, Date.now() - from, most, how);
  }
  /** Whoever knows the account's password is refused: it is past its end, or cut off. */
  async closedDoor(name, what, how) {
    await this.rig.super.query(`ALTER ROLE "${name}" PASSWORD 'known-to-a-test'`).catch(() => {});
    const client = new pg.Client({ host: '127.0.0.1', port: this.rig.w.pg.port, user: name, password: 'known-to-a-test', database: 'orders' });
    client.on('error', () => {});
    const got = await client.connect().then(() => 'in', (e) => e.code);
    await client.end().catch(() => {});
    if (got !== '28P01' && got !== '28000') this.rig.fault(`${what}: a login past the end got ${got}`, how);
  }
  async wrong(how) { for (const w of await this.rig.wrongNow()) this.rig.fault(w, how); }

  // -- the faults ------------------------------------------------------------------------------------------------------
  /** PostgreSQL away for a while when access is to end: the client is cut, and nothing is called closed. */
  async away(leave, come, { fault, mutant }, how) {
    const { rig } = this;
    const { client, grant } = await this.atWork();
    if (fault) await leave();
    const from = Date.now();
    this.end(grant);
    await this.cut(client, from, how, 5000, how);
    if (fault) {
      await this.comes(rig.writer, 'refused', how, 30000, how);
      await pause(3000);
      const answered = Date.now();
      await rig.api('GET', '/grants').catch(() => rig.fault('the API does not answer', how));
      this.took(`${how}: API answers after`, Date.now() - answered, 5000, how);
      if (rig.live().every((g) => g.id !== grant.id)) rig.fault('closed though nobody could look', how);
      // The mutant: nobody goes on with what was begun.
      if (mutant) this.signal('SIGSTOP');
      await come();
    }
    rig.dropClients();
    const back = Date.now();
    await rig.settles(how, mutant ? 1500 : 90000);
    if (mutant) this.signal('SIGCONT');
    else if (fault) this.took(`${how}: all gone after its return`, Date.now() - back, 90000, how);
    else await this.comes(rig.writer, 'let in', how, 20000, how);
  }
  async postgresStopped(kind) { await this.away(() => this.stopPostgres(), () => this.startPostgres(), kind, 'PostgreSQL stopped'); }
  async networkCut(kind) {
    await this.away(() => run('ip', 'route', 'add', hidden, 'dev', 'hole', 'table', 'local'), () => run('ip', 'route', 'del', hidden, 'dev', 'hole', 'table', 'local'), kind, 'network cut');
  }
  /** Restarted in the middle of giving and taking away. */
  async postgresRestarted({ fault, mutant }) {
    const how = 'PostgreSQL restarted';
    for (let i = 0; i < (mutant ? 1 : 4); i += 1) {
      const { grant } = await this.atWork();
      this.end(grant);
      const coming = this.rig.open(this.rig.writer);
      await pause(i * 12);
      if (fault) { await this.stopPostgres(); if (mutant) this.signal('SIGSTOP'); await this.startPostgres(); }
      if (!mutant) await coming;
      await this.rig.settles(how, mutant ? 1500 : 90000);
      if (mutant) this.signal('SIGCONT');
      await this.rig.endAll();
    }
  }
  /** PostgreSQL says "done" and does nothing, for as long as six seconds: nothing is closed on its word. */
  async lies({ fault, mutant }) {
    const how = 'PostgreSQL lies', { rig, liar } = this;
    const { client, grant } = await this.atWork();
    liar.told = 0;
    liar.lies = fault;
    if (mutant) liar.blind = grant.account;
    const from = Date.now();
    this.end(grant);
    await this.cut(client, from, how, 5000, how);
    if (fault) {
      for (const until = Date.now() + (mutant ? 3000 : 6000); Date.now() < until; await pause(100)) await this.wrong(how);
      if (liar.told === 0) rig.fault('no lie was told', how);
    }
    liar.lies = false;
    liar.blind = undefined;
    rig.dropClients();
    if (mutant) await rig.super.query(`DROP ROLE IF EXISTS "${grant.account}"`);
    await rig.settles(how, 90000);
  }
  /** Not a connection left for anybody: what was reserved for revocation must do. */
  async outOfSlots({ fault, mutant }) {
    const how = 'out of connection slots', { rig } = this;
    const { client, grant } = await this.atWork();
    const fillers = [];
    const fill = async () => {
      for (;;) {
        const f = new pg.Client({ host: '127.0.0.1', port: rig.w.pg.port, user: 'filler', password: 'filler', database: 'orders' });
        f.on('error', () => {});
        const full = await f.connect().then(() => false, (e) => e.code === '53300');
        if (full) return;
        fillers.push(f);
      }
    };
    if (fault) await fill();
    if (mutant) {
      // Its reserve is gone, too, and it gets no other.
      await rig.super.query('ALTER ROLE daypass_admin CONNECTION LIMIT 0');
      await rig.super.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'daypass_admin'");
    }
    const from = Date.now();
    this.end(grant);
    await this.cut(client, from, how, 5000, how);
    await this.accountGone(grant.account, how, mutant ? 2000 : 10000, how);
    await this.comes(rig.writer, fault ? 'either' : 'let in', how, 30000, how);
    for (const f of fillers) await f.end().catch(() => {});
    await rig.super.query('ALTER ROLE daypass_admin CONNECTION LIMIT -1');
    rig.dropClients();
    await rig.settles(how, 90000);
  }
  /** The process stands still while a grant ends. */
  async asleep(seconds, { fault, mutant }) {
    const how = `SIGSTOP for ${seconds} s`, { rig } = this;
    const short = await rig.w.creds('dana', '--role', 'writer', '--for', '3s');
    const long = await this.atWork();
    const brief = await this.atWork(short);
    const end = Date.parse(brief.grant.ends_at);
    if (mutant) {
      // It stands where it is first read.
      this.switches.set('frozen', 1);
      await pause(1000);
    }
    if (fault) {
      this.signal('SIGSTOP');
      const wake = Date.now() + seconds * 1000;
      await pause(Math.max(end + 1000 - Date.now(), 0));
      if ((await rig.accounts()).some((a) => a.name === brief.grant.account)) await this.closedDoor(brief.grant.account, how, how);
      await this.wrong(how);
      await pause(Math.max(wake - Date.now(), 0));
      this.signal('SIGCONT');
    }
    await this.cut(brief.client, Math.max(Date.now(), end), how, mutant ? 1500 : 5000, how);
    await this.accountGone(brief.grant.account, how, mutant ? 500 : 10000, how);
    if (long.client.lastError || (await long.client.query('SELECT 1 AS n').catch(() => ({ rows: [{}] }))).rows[0].n !== 1) rig.fault(`${how}: a session ended early`, how);
    await this.wrong(how);
  }
  /** The wall clock of the process jumps, and nobody else's. */
  async clockJumps(seconds, { fault, mutant }) {
    const how = `clock ${seconds > 0 ? '+' : ''}${seconds} s`, { rig } = this;
    const small = Math.abs(seconds) <= 1;
    // What a server said on the word of an earlier jump it does not unsay: another one begins.
    await this.restart();
    const short = await rig.w.creds('dana', '--role', 'writer', '--for', '4s');
    const long = await this.atWork();
    const brief = await this.atWork(short);
    const end = Date.parse(brief.grant.ends_at);
    const jumped = Date.now();
    if (fault) this.switches.set('wall_ns', BigInt(seconds) * 1_000_000_000n);
    if (mutant) this.switches.set('frozen', 1);
    const ready = async () => fetch(`${rig.w.url}/readyz`).then((r) => r.ok, () => false);
    if (fault && !small && !mutant) {
      await until(async () => !(await ready()), 'readiness to turn red', 10000).catch(() => rig.fault(`${how}: the server is still ready`, how));
      this.took(`${how}: not ready after`, Date.now() - jumped, 10000, how);
    } else if (!mutant && !(await ready())) {
      rig.fault(`${how}: the server is not ready`, how);
    }
    await this.cut(brief.client, end, how, mutant ? 1500 : 5000, how);
    const gone = Date.now();
    // Early only because the clock said so: nobody else may take it for the end.
    if (gone < end - (seconds > 0 && fault ? Math.abs(seconds) * 1000 + 100 : 100)) rig.fault(`${how}: ended ${end - gone} ms early`, how);
    await this.accountGone(brief.grant.account, how, mutant ? 500 : 10000, how);
    // Nobody gets anything new; while the writer's grant was there another client could have joined it.
    if (fault && !small && !mutant) await this.comes(rig.writer, 'refused', how, 10000, how);
    const forward = fault && seconds > 1;
    if (!forward && (await long.client.query('SELECT 1 AS n').catch(() => ({ rows: [{}] }))).rows[0].n !== 1) rig.fault(`${how}: a session ended early`, how);
    await this.wrong(how);
    if (mutant) return;
    // Put right again: at once, or where it was believed, with the next start.
    this.switches.set('wall_ns', 0);
    if (forward) await this.restart();
    await until(ready, 'the server to be ready again', 10000).catch(() => rig.fault(`${how}: not ready again`, how));
    rig.dropClients();
    await rig.settles(how);
    // Ten years end every login, and what has ended stays so.
    if (forward) await rig.signIn();
    await rig.endAll();
    await this.comes(rig.writer, 'let in', `${how}, put right`, 20000, how);
  }
  /** With room for `pages` times 4 KiB. Taking away needs none; giving is refused, or done whole. */
  async fullDisk(pages, { fault, mutant }, tally) {
    const how = `disk full but for ${pages} pages`, { rig } = this;
    const { client, grant } = await this.atWork();
    const filler = `${rig.w.data}/filler`;
    if (fault) {
      const s = fs.statfsSync(rig.w.data);
      const take = Number(s.bfree) - pages;
      if (run('fallocate', '-l', String(take * 4096), filler).status !== 0) rig.fault('the filler could not be written', how);
    }
    if (mutant) {
      this.signal('SIGSTOP');
    } else {
      const coming = await this.comes(rig.writer, fault ? 'either' : 'let in', 'full disk', 20000, how);
      tally[coming] = (tally[coming] ?? 0) + 1;
    }
    const from = Date.now();
    this.end(grant);
    await this.cut(client, from, 'full disk', mutant ? 1000 : 5000, how);
    await this.accountGone(grant.account, 'full disk', mutant ? 500 : 10000, how);
    if (mutant) this.signal('SIGCONT');
    fs.rmSync(filler, { force: true });
    if (!mutant) await this.wrong(how);
    rig.dropClients();
    const room = Date.now();
    await rig.settles(how, 20000);
    this.took('full disk: clean after there was room', Date.now() - room, 20000, how);
  }
  /** Syncs of the store fail from the n-th on, while something is asked for and something ended; then it is killed. */
  async failedSync(after, { fault, mutant }) {
    const how = `syncs fail after ${after}`, { rig } = this;
    const { client, grant } = await this.atWork();
    if (fault) { this.switches.set('sync_after', after); this.switches.set('sync_errno', 5); }
    if (mutant) this.signal('SIGSTOP');
    // Whoever comes when nothing can be written is refused at once; whose account is in the making then, after the gate's
    // thirty seconds (seen to the end in one case of them).
    const wanted = !fault ? 'let in' : after === 0 ? 'refused' : after === 1 ? 'either' : 'any';
    if (!mutant) await this.comes(rig.writer, wanted, `failed sync${fault && after > 0 ? ' in the middle' : ''}`, wanted === 'any' ? 3000 : 40000, how);
    const from = Date.now();
    this.end(grant);
    await this.cut(client, from, 'failed sync', mutant ? 1000 : 5000, how);
    await this.accountGone(grant.account, 'failed sync', mutant ? 500 : 10000, how);
    if (mutant) { this.signal('SIGCONT'); this.switches.set('sync_errno', 0); return; }
    if (fault && this.switches.get('refused') === 0 && after < 4) rig.fault('no sync failed', how);
    if (fault && after % 2 === 1) { await rig.kill(); this.switches.set('sync_errno', 0); await this.wrong(how); await rig.w.startServer(); }
    this.switches.set('sync_errno', 0);
    rig.dropClients();
    await rig.settles(how, 20000);
  }

  scenarios() {
    const cases = (fn, list) => list.map((x) => [String(x), (kind) => fn(x, kind)]);
    const tally = (this.tally ??= {});
    const year = 365 * 24 * 3600;
    const noLibrary = this.preload ? undefined : `${tool('libdaypass-faults.so')} is not there`;
    return {
      postgres: { what: 'PostgreSQL stopped, restarted', cases: [['stopped', (k) => this.postgresStopped(k)], ['restarted', (k) => this.postgresRestarted(k)]] },
      lies: { what: 'PostgreSQL says done and does nothing', cases: [['', (k) => this.lies(k)]] },
      slots: { what: 'PostgreSQL out of connection slots', cases: [['', (k) => this.outOfSlots(k)]] },
      sleep: { what: 'SIGSTOP', why: noLibrary, cases: cases((s, k) => this.asleep(s, k), this.full ? [5, 30, 120] : [5, 30]) },
      network: { what: 'network cut', why: this.net ? undefined : 'no network namespace or tun device is permitted here', cases: [['', (k) => this.networkCut(k)]] },
      clocks: { what: 'clock jumps', why: noLibrary, cases: cases((s, k) => this.clockJumps(s, k), [1, -1, 3600, -3600, 10 * year, -10 * year]) },
      disk: { what: 'disk full', why: this.disk ? undefined : 'no file system may be mounted here', cases: cases((n, k) => this.fullDisk(n, k, tally), Array.from({ length: this.full ? 64 : 16 }, (_, i) => (this.full ? i : i * 4))) },
      sync: { what: 'failed syncs', why: noLibrary, cases: cases((n, k) => this.failedSync(n, k), [0, 1, 2, 3, 4, 5, 6]) },
    };
  }
  casesOf(name) { return this.scenarios()[name].cases.length; }
  /** Control, faults from case `next` on while there is `time()`, mutant; the case to go on with, the number of them when it is through. */
  async play(name, next, time) {
    const { what, why, cases } = this.scenarios()[name];
    if (why) { console.log(`skipped: ${what}: ${why}`); return cases.length; }
    const before = this.rig.faults.length;
    const begun = Date.now();
    const one = async (fn, kind) => { await this.fresh(); await fn(kind).catch((e) => this.rig.fault(`the test broke: ${e.stack ?? e}`, what)); };
    await one(cases[0][1], { fault: false });
    let done = next;
    for (let i = next; i < cases.length && time(); i += 1) {
      await one(cases[i][1], { fault: true });
      done = i + 1;
    }
    const seen = await this.rig.expected(() => one(cases[0][1], { fault: true, mutant: true }));
    await this.fresh().catch(async () => { await this.restart(); await this.fresh(); });
    // A test that breaks has seen nothing.
    const noticed = seen.filter((f) => !f.what.startsWith('the test broke'));
    if (noticed.length === 0) this.rig.fault(`${what}: the mutant was not noticed${seen.length ? `: ${seen[0].what}` : ''}`, `tools/chaos --only ${name}`);
    console.log(`${what}: ${done - next} of ${cases.length} cases, control ${this.rig.faults.length === before ? 'and all green' : 'or cases RED'}, mutant red (${noticed[0]?.what.slice(0, 90)}), ${((Date.now() - begun) / 1000).toFixed(0)} s`);
    return done;
  }
  report() {
    return ['slowest:', ...Object.entries(this.late).map(([k, v]) => `  ${k.padEnd(60)} ${v} ms`), ...(Object.keys(this.tally ?? {}).length ? [`  clients on a full disk: ${Object.entries(this.tally).map(([k, v]) => `${v} ${k}`).join(', ')}`] : [])].join('\n');
  }
}
