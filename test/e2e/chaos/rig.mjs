// What every part of `make chaos` stands on: one PostgreSQL and one identity provider that stay up, a server that dies and
// is started again, people at work, and the checks after each death.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { World, daypass, until } from '../harness.mjs';

export const kinds = ['provision', 'extend', 'revoke', 'verify'];
/** Where a grant can be when the process dies: its state, and the intent that is open. */
export const journalStates = ['provisioning/provision', 'active', 'active/extend', 'revoking/revoke', 'revoking/verify'];
/** The real machine's time: how long a fault lasts or how far an operation has come when it is killed is what is tried, and there
 * is no event of it. What a fault leads to is waited for (`settles`, `until`). */
export const pause = (ms) => new Promise((r) => { setTimeout(r, ms); });
/** What `make` builds beside the tests; DAYPASS_CHAOS_TOOLS says where they lie when not beside DAYPASS. */
export const tool = (name) => path.join(process.env.DAYPASS_CHAOS_TOOLS ?? path.join(path.dirname(daypass), 'test'), name);

/** A stream of numbers from 0 to 1 that a seed makes, the same everywhere. */
export function dice(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 4294967296;
  };
  next();
  return next;
}

export class Rig {
  static async start(options = {}) {
    const self = new Rig();
    self.killed = Object.fromEntries(journalStates.map((s) => [s, 0]));
    self.faults = [];
    self.worst = 0;
    self.clients = new Set();
    self.w = await World.start(options);
    await self.connectSuper();
    await self.signIn();
    return self;
  }
  /** Somebody, with a credential for each of two roles. */
  async signIn() {
    const { w } = this;
    await w.login('dana');
    this.reader = await w.creds('dana', '--for', '5m');
    this.writer = await w.creds('dana', '--role', 'writer', '--for', '5m');
    this.token = JSON.parse(fs.readFileSync(`${w.env('dana').XDG_STATE_HOME}/daypass/logins.json`, 'utf8')).logins[0].token;
  }
  async connectSuper() {
    this.super = new pg.Client({ host: '127.0.0.1', port: this.w.pg.port, user: 'postgres', password: this.w.pg.password, database: 'postgres' });
    this.super.on('error', () => {});
    await this.super.connect();
  }
  async stop() {
    this.dropClients();
    await this.super.end().catch(() => {});
    await this.kill();
    this.w.launch = undefined;
    await this.w.stop();
  }

  // -- the server ------------------------------------------------------------------------------------------------------
  /** From now on the server is started under the tracer; `plan`: [threads, number, before|after, opening] from its beginning. */
  underTracer(plan) {
    this.w.launch = () => {
      const child = spawn(tool('daypass-syskill'), [...(plan ? ['--kill', ...plan.map(String)] : []), daypass, 'server', 'run', '--config', this.w.config], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
      const told = { lines: [], waiting: [] };
      child.stdio[3].on('error', () => {});
      let rest = '';
      child.stdio[4].on('data', (d) => {
        const lines = (rest + d).split('\n');
        rest = lines.pop();
        told.lines.push(...lines);
        for (const w of told.waiting.splice(0)) w();
      });
      child.on('exit', () => { for (const w of told.waiting.splice(0)) w(); });
      child.told = told;
      this.tracer = child;
      return child;
    };
  }
  bare(launch) { this.w.launch = launch; this.tracer = undefined; }
  command(line) { this.tracer.stdio[3].write(line + '\n'); }
  /** The first line of the tracer that begins with `word`, once it has come; undefined when the server has gone without it. */
  async told(word) {
    const { told } = this.tracer;
    for (;;) {
      const line = told.lines.find((l) => l.startsWith(word));
      if (line !== undefined) return line;
      if (this.dead()) return undefined;
      await new Promise((r) => { told.waiting.push(r); });
    }
  }
  dead() { return this.w.server.exitCode !== null || this.w.server.signalCode !== null; }
  /** SIGKILL, and gone. */
  async kill() {
    if (this.dead()) return;
    // The tracer kills what it traces and waits for it; were it killed itself the other might live for a moment longer.
    if (this.w.server === this.tracer) this.tracer.stdio[3].end(); else this.w.server.kill('SIGKILL');
    await this.gone();
  }
  async gone() { if (!this.dead()) await (this.w.server.gone ??= once(this.w.server, 'exit')); }

  // -- people ----------------------------------------------------------------------------------------------------------
  api(method, where, body, token = this.token) {
    return fetch(`${this.w.url}/t/default/api/v1${where}`, { method, headers: { authorization: `Bearer ${token}`, connection: 'close', ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) }).then((r) => r.json());
  }
  /** A client at the gate; resolves when it is in or refused. */
  async open(credential) {
    const client = new pg.Client(this.w.options(credential));
    client.on('error', (e) => { client.lastError ??= e; });
    this.clients.add(client);
    await client.connect().catch((e) => { client.refused = e; });
    return client;
  }
  dropClients() {
    for (const c of this.clients) { c.connection?.stream?.destroy(); }
    this.clients.clear();
  }
  /** Grants as they are stored, whether or not a server is running. */
  stored() {
    const db = new DatabaseSync(`${this.w.data}/daypass.db`, { readOnly: true });
    try { return db.prepare('SELECT body FROM grants').all().map((r) => JSON.parse(Buffer.from(r.body).toString())); } finally { db.close(); }
  }
  live() { return this.stored().filter((g) => g.state !== 'closed'); }
  /** Waits until the stored grants are as `is` wants them, or the server has gone: false. */
  async storedSo(is, what, limit) {
    let so = false;
    await until(() => { so = is(this.live()); return so || this.dead(); }, what, limit);
    return so;
  }
  async endAll() {
    this.dropClients();
    for (const g of this.live()) await this.api('POST', `/grants/${g.id}/end`).catch(() => {});
    return this.storedSo((all) => all.length === 0, 'all grants to be closed');
  }

  // -- checks ----------------------------------------------------------------------------------------------------------
  async accounts() {
    return (await this.super.query("SELECT rolname AS name, extract(epoch FROM rolvaliduntil) * 1000 AS until FROM pg_roles WHERE rolname LIKE 'dp\\_%'")).rows.map((r) => ({ name: r.name, until: r.until === null ? Infinity : Number(r.until) }));
  }
  fault(what, how) { this.faults.push({ what, how }); if (!this.hushed) console.log(`RED ${what}; again with: ${how}`); }
  /** What `fn` finds wrong, which a mutant is there to bring about: counted here and nowhere else. */
  async expected(fn) {
    const before = this.faults.length;
    this.hushed = true;
    try { await fn(); } finally { this.hushed = false; }
    return this.faults.splice(before);
  }
  /** Counts the states of the grants that this death met. */
  count() {
    const met = [];
    for (const g of this.live()) {
      const name = g.open === undefined ? g.state : `${g.state}/${kinds[g.open]}`;
      this.killed[name] = (this.killed[name] ?? 0) + 1;
      met.push(name);
    }
    return met;
  }
  /**
   * What has to hold at any instant, with or without a server: no account whose grant is not on disk, none that stays valid
   * beyond its grant's end, none whose grant is closed. Empty, or what is wrong.
   */
  async wrongNow() {
    // The store first: what is closed then must be gone now. The other way round an account may just have been dropped.
    const before = new Map(this.stored().map((g) => [g.account, g]));
    const accounts = await this.accounts();
    const after = new Map(this.stored().map((g) => [g.account, g]));
    const wrong = [];
    for (const { name, until: end } of accounts) {
      if (before.get(name)?.state === 'closed') wrong.push(`${name} exists though its grant is closed`);
      const grant = after.get(name);
      if (grant === undefined) wrong.push(`${name} exists and no grant does`);
      // PostgreSQL's own clock ends it: no login past the end, though every process of ours be dead.
      else if (end > Date.parse(grant.ends_at) + 1) wrong.push(`${name} is valid for ${end - Date.parse(grant.ends_at)} ms after its grant's end`);
    }
    return wrong;
  }
  /** After a death and a start: within ten seconds nothing is half done and nothing is left. `how` says how to see it again. */
  async settles(how, limit = 10000) {
    const begun = Date.now();
    let left = [], looks = 0;
    const clean = async () => {
      looks += 1;
      const now = await this.wrongNow();
      if (now.length) { left = now; return true; }
      const grants = this.live();
      const live = new Set(grants.filter((g) => g.state === 'active').map((g) => g.account));
      left = grants.filter((g) => g.state !== 'active' || g.open !== undefined).map((g) => `${g.account} is ${g.state}${g.open === undefined ? '' : `, ${kinds[g.open]} is open, failed ${g.attempt} times`}`);
      left.push(...(await this.accounts()).filter((a) => !live.has(a.name)).map((a) => `${a.name} is left`));
      return left.length === 0;
    };
    // Where the machine is so busy that a look takes longer than its pause, the server had no more of it than we had: of
    // each round no more than 100 ms count.
    for (let spent = 0; ;) {
      const from = Date.now();
      if (await clean() || spent > limit) break;
      await pause(20);
      spent += Math.min(Date.now() - from, 100);
    }
    // Whether it waited for the machine or for something else: looks, and what the server says of it.
    if (left.length) this.fault(`${left.join('; ')} (after ${looks} looks in ${Date.now() - begun} ms; the log ends: ${this.w.serverLog.slice(-500)})`, how);
    this.worst = Math.max(this.worst, Date.now() - begun);
    return left.length === 0;
  }
  async verifyAudit() {
    const done = await this.w.cli('operator', ['audit', 'verify']);
    if (done.code !== 0) this.fault(`audit log: ${done.err}`, 'daypass audit verify');
    return done.code === 0;
  }
}
