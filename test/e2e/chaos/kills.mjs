// SIGKILL at random instants during provision, extend and revoke, each journal state aimed at.
import pg from 'pg';
import { tokenOf, until } from '../harness.mjs';
import { dice, journalStates, pause } from './rig.mjs';

/** `count` times `work(i)`, `most` at once. */
async function side(most, count, work) {
  let next = 0;
  await Promise.all(Array.from({ length: most }, async () => { while (next < count) await work(next++); }));
}

export class Kills {
  constructor(rig) {
    this.rig = rig;
    this.hits = {};  // state -> the instants that met it, so that a short state is aimed at and not only stumbled upon
    this.met = Object.fromEntries(journalStates.map((s) => [s, 0]));
    this.rounds = 0;
    this.late = { tried: 0, let_in: 0, extended: 0 };
  }
  /** What to do in this round and how long after it to kill, in ms. */
  plan(random) {
    const rarest = journalStates.reduce((a, b) => (this.met[b] < this.met[a] ? b : a));
    if (this.hits[rarest] && random() < 0.5) {
      const near = this.hits[rarest][Math.floor(random() * this.hits[rarest].length)];
      return { what: near.what, after: Math.max(0, near.after + (random() - 0.5) * 3) };
    }
    const what = ['provision', 'extend', 'revoke'][Math.floor(random() * 3)];
    return { what, after: random() * { provision: 60, extend: 12, revoke: 45 }[what] };
  }

  /** One round; a seed of its own, so that it can be played again: what it does and when, if not what the machine makes of it. */
  async round(seed, plan) {
    const { rig } = this, random = dice(seed);
    const { what, after } = plan ?? this.plan(random);
    const how = `tools/chaos --kill ${what}:${after.toFixed(2)}`;
    const running = rig.live().filter((g) => g.state === 'active');
    if (what === 'provision') {
      for (const g of running) await rig.api('POST', `/grants/${g.id}/end`);
      for (const c of [rig.reader, rig.writer]) rig.open(c);
    } else {
      if (what === 'extend') for (const g of running) await rig.api('POST', `/grants/${g.id}/end`);
      await Promise.all([rig.reader, rig.writer].map((c) => rig.open(c)));
      for (const g of rig.live().filter((x) => x.state === 'active')) {
        const wish = what === 'extend' ? ['extend', { for: `${Math.floor(10 + random() * 20)}m` }] : ['end', undefined];
        rig.api('POST', `/grants/${g.id}/${wish[0]}`, wish[1]).catch(() => {});
      }
    }
    await pause(after);
    await rig.kill();
    this.rounds += 1;
    for (const state of rig.count()) {
      (this.hits[state] ??= []).push({ what, after });
      this.met[state] = (this.met[state] ?? 0) + 1;
    }
    for (const wrong of await rig.wrongNow()) rig.fault(`while dead: ${wrong}`, how);
    rig.dropClients();
    await rig.w.startServer();
    await rig.settles(how);
  }

  /**
   * Killed with grants of three seconds, and not started again until they are over: whoever knows an account's password is
   * refused by PostgreSQL itself. A control beside it, an account without an end, is let in by the same means.
   */
  async pastTheEnd(seed) {
    const { rig } = this, random = dice(seed);
    await rig.endAll();
    const credentials = [await rig.w.creds('dana', '--for', '3s'), await rig.w.creds('dana', '--role', 'writer', '--for', '3s')];
    await Promise.all(credentials.map((c) => rig.open(c)));
    for (const g of rig.live()) if (random() < 0.5) rig.api('POST', `/grants/${g.id}/extend`, { for: '4s' }).catch(() => {});
    await pause(random() * 15);
    await this.staysDead(`tools/chaos --past-the-end ${seed}`);
  }

  /** The same with `logins` times two grants at once, ends that chance chose, and half of them extended in the last second before it dies. */
  async manyPastTheEnd(seed, logins = 500) {
    const { rig } = this, random = dice(seed);
    await rig.endAll();
    const tokens = [];
    await side(8, logins, async () => { tokens.push(await tokenOf(rig.w, 'dana')); });
    const begun = Date.now();
    // All of them over a minute later at the latest, and none before the last is open, unless the machine is very slow.
    const seconds = () => Math.ceil(60 - (Date.now() - begun) / 1000 - random() * 20);
    await side(16, 2 * logins, async (i) => {
      const role = i % 2 === 0 ? 'pg/orders/reader' : 'pg/orders/writer';
      const credential = await rig.api('POST', '/credentials', { target: 'pg/orders', roles: [role], for: `${Math.max(5, seconds())}s` }, tokens[i >> 1]);
      const client = await rig.open(credential);
      if (client.refused) rig.fault(`a grant could not be opened: ${client.refused.message}`, 'tools/chaos --only ends');
      await client.end().catch(() => {});
    });
    // Only the login that has a grant may ask for more of it.
    const owner = new Map();
    await side(16, logins, async (i) => { owner.set((await rig.api('GET', '/session', undefined, tokens[i])).id, tokens[i]); });
    const before = new Map(rig.live().map((g) => [g.id, g.ends_at]));
    const asked = rig.live().filter(() => random() < 0.5).slice(0, 200);
    await Promise.race([pause(1000), side(16, asked.length, (i) => rig.api('POST', `/grants/${asked[i].id}/extend`, { for: '58s' }, owner.get(asked[i].session)))]);
    this.late.extended = rig.live().filter((g) => g.ends_at > before.get(g.id)).length;
    if (this.late.extended === 0) rig.fault('no grant was extended', 'tools/chaos --only ends');
    await this.staysDead('tools/chaos --only ends');
  }

  /** Killed; each account is tried a second after its grant's end, then the server comes back and nothing is left. */
  async staysDead(how) {
    const { rig } = this;
    await rig.kill();
    rig.count();
    for (const wrong of await rig.wrongNow()) rig.fault(`while dead: ${wrong}`, how);
    const accounts = await rig.accounts();
    // Only PostgreSQL's superuser can know them: the account's own password is sealed in the store.
    for (const a of accounts) await rig.super.query(`ALTER ROLE "${a.name}" PASSWORD 'known-to-a-test'`);
    await rig.super.query("CREATE ROLE control_without_end LOGIN PASSWORD 'known-to-a-test'; GRANT CONNECT ON DATABASE orders TO control_without_end");
    const enter = async (user) => {
      const client = new pg.Client({ host: '127.0.0.1', port: rig.w.pg.port, user, password: 'known-to-a-test', database: 'orders' });
      client.on('error', () => {});
      try { await client.connect(); return 'in'; } catch (e) { return e.code ?? String(e); } finally { await client.end().catch(() => {}); }
    };
    const ends = new Map(rig.live().map((g) => [g.account, Date.parse(g.ends_at)]));
    const due = accounts.map((a) => ({ name: a.name, end: ends.get(a.name) ?? Date.now() })).sort((a, b) => a.end - b.end);
    for (const { name, end } of due) {
      await pause(Math.max(0, end + 1000 - Date.now()));
      this.late.tried += 1;
      const got = await enter(name);
      if (got === 'in') { this.late.let_in += 1; rig.fault(`${name} let somebody in after its end`, how); }
      else if (got !== '28P01') rig.fault(`${name} refused with ${got}`, how);
    }
    if ((await enter('control_without_end')) !== 'in') rig.fault('the control was not let in', how);
    await rig.super.query('REVOKE CONNECT ON DATABASE orders FROM control_without_end; DROP ROLE control_without_end');
    rig.dropClients();
    await rig.w.startServer();
    await rig.settles(how);
    await until(async () => (await rig.accounts()).length === 0, 'no account', 10000).catch(() => rig.fault('accounts past their end are left', how));
  }
  report() {
    return `random kills:\n  ${this.rounds} rounds, in ${Object.entries(this.met).map(([s, n]) => `${s} ${n}`).join(', ')}\n  logins tried past the end with every process dead: ${this.late.tried}, let in: ${this.late.let_in}`;
  }
}
