// The syscall matrix: each operation is done again and again, and the server killed at call 1, 2, 3 … of the thread that
// carries it, before the call and after it, until the operation is done without meeting the number.
import { pause, tool } from './rig.mjs';
import fs from 'node:fs';

const reader = (all) => all[0];
const settled = (g) => g?.state === 'active' && g.open === undefined;

/** A grant that is active, that nobody uses, and that may still grow. */
async function oneAtRest(rig) {
  const [g, ...more] = rig.live();
  const room = g && Date.parse(g.ends_at) - Date.parse(g.opened_at) < 50 * 60e3;
  // One of which nobody has heard since the start lies in the store as it was, with the connections of then: another one.
  if (more.length || (g && (!settled(g) || g.connections !== 0 || !room))) await rig.endAll();
  if (rig.live().length === 0) {
    await rig.open(rig.reader);
    await rig.storedSo((all) => settled(reader(all)), 'an active grant');
  }
  rig.dropClients();
  await rig.storedSo((all) => settled(reader(all)) && reader(all).connections === 0, 'a grant at rest');
}

/**
 * `threads`: who carries it, by what the server calls its threads. `prepare` leaves the server up and quiet, `act` begins
 * and does not wait, `done` says of the stored grants whether it is through.
 */
export const operations = {
  provision: {
    threads: ['dp-engine', 'dp-provision'],
    prepare: (rig) => rig.endAll(),
    act: (rig) => { rig.open(rig.reader); },
    done: (all) => settled(reader(all)) && reader(all).connections === 1,
  },
  extend: {
    threads: ['dp-engine', 'dp-provision'],
    prepare: oneAtRest,
    act(rig) {
      const [g] = rig.live();
      rig.before = g.ends_at;
      const seconds = Math.ceil((Date.parse(g.ends_at) - Date.now()) / 1000) + 2;
      rig.api('POST', `/grants/${g.id}/extend`, { for: `${Math.floor(seconds / 60)}m${seconds % 60}s` }).then((r) => { rig.answer = r; }, () => {});
    },
    done: (all, rig) => settled(reader(all)) && reader(all).ends_at !== rig.before,
  },
  // With a client at work, whose session has to be ended first.
  revoke: {
    threads: ['dp-engine', 'dp-revoke'],
    async prepare(rig) {
      await oneAtRest(rig);
      await rig.open(rig.reader);
      await rig.storedSo((all) => settled(reader(all)) && reader(all).connections === 1, 'a client at work');
    },
    act(rig) { rig.api('POST', `/grants/${reader(rig.live()).id}/end`).catch(() => {}); },
    done: (all) => all.length === 0,
  },
  // The other thread that writes the store's file, every five seconds.
  checkpoint: {
    threads: ['dp-checkpoint'],
    slow: true,
    prepare: oneAtRest,
    act(rig) { operations.extend.act(rig); rig.from = Date.now(); },
    done: (all, rig) => Date.now() > rig.from + 6000,
  },
};

export class Syscalls {
  constructor(rig) {
    this.rig = rig;
    this.points = {};   // "operation thread" -> { range, met, missed, verbs }
  }
  static missing() { return fs.existsSync(tool('daypass-syskill')) ? undefined : `${tool('daypass-syskill')} is not there`; }
  async up() {
    if (!this.rig.dead() && this.rig.w.server === this.rig.tracer) return;
    await this.rig.kill();
    this.rig.underTracer();
    await this.rig.w.startServer();
  }
  tally(name, thread) { return this.points[`${name} ${thread}`] ??= { range: 0, met: 0, missed: 0, verbs: {}, states: {} }; }

  /** Does the operation once, to be killed at `number`; 0: not at all, and {count, lines}. */
  async run(name, thread, number, when) {
    const { rig } = this, operation = operations[name];
    await operation.prepare(rig);
    rig.tracer.told.lines.length = 0;
    rig.command(`arm ${thread} ${number} ${when}`);
    await rig.told('armed');
    operation.act(rig);
    await rig.storedSo((all) => operation.done(all, rig), `${name} to be done`).catch((e) => { rig.fault(e.message, `${name} ${thread} ${number} ${when}`); });
    // What the engine does behind the commit, such as answering, belongs to it.
    if (!rig.dead()) await Promise.race([pause(25), rig.gone()]);
    if (rig.dead()) return { killed: rig.tracer.told.lines.find((l) => l.startsWith('killed ')) };
    rig.command('disarm');
    const count = (await rig.told('count'))?.split(' ')[1];
    if (count === undefined) { await rig.gone(); return { killed: rig.tracer.told.lines.find((l) => l.startsWith('killed ')) }; }
    return { count: Number(count), lines: rig.tracer.told.lines.filter((l) => l.startsWith('at ')) };
  }

  /** How many calls the operation takes, of three times the most; a slow one takes along what others left, so its second time counts. */
  async range(name, thread) {
    await this.up();
    const t = this.tally(name, thread);
    const { slow } = operations[name];
    if (slow) await this.run(name, thread, 0, 'before');
    for (let i = 0; i < (slow ? 1 : 3); i += 1) {
      const { count, lines } = await this.run(name, thread, 0, 'before');
      if (count > t.range) {
        t.range = count;
        t.lines = lines;
      }
    }
    return t.range;
  }

  /** One point: killed there, started again, looked at. False: the operation was through before. */
  async point(name, thread, number, when) {
    const { rig } = this;
    const how = `tools/chaos --point ${name}:${thread}:${number}:${when}`;
    await this.up();
    const t = this.tally(name, thread);
    const { killed } = await this.run(name, thread, number, when);
    if (!killed) {
      if (rig.dead()) { rig.fault(`the server ended by itself: ${rig.w.serverLog}`, how); await this.up(); }
      t.missed += 1;
      return false;
    }
    const [, , , , call, file, ...verb] = killed.split(' ');
    const where = verb.join(' ');
    t.met += 1;
    t.verbs[where] = (t.verbs[where] ?? 0) + 1;
    for (const s of rig.count()) t.states[s] = (t.states[s] ?? 0) + 1;
    this.last = `${when} ${call} of ${file}, in ${where}`;
    await this.lookAfterDeath(how);
    return true;
  }
  async lookAfterDeath(how) {
    const { rig } = this;
    rig.dropClients();
    for (const wrong of await rig.wrongNow()) rig.fault(`while dead: ${wrong}`, `${how}   (${this.last})`);
    await rig.w.startServer();
    await rig.settles(`${how}   (${this.last})`);
  }

  /** The whole matrix of one operation from point `from` on, while `time()` is left; the next point, or 0 when it is through. */
  async sweep(name, thread, from, time, step = 1) {
    const range = await this.range(name, thread);
    let missed = 0;
    for (let number = Math.max(1, from); ; number += step) {
      if (!time()) return number;
      const met = [];
      // Behind a call is before the next one: where each point takes seconds, one of the two must do.
      for (const when of operations[name].slow ? ['before'] : ['before', 'after']) met.push(await this.point(name, thread, number, when) || await this.point(name, thread, number, when));
      missed = met.some(Boolean) ? 0 : missed + 1;
      if (missed >= 2 && number > range) return 0;
    }
  }

  // -- the start -------------------------------------------------------------------------------------------------------
  /** The server is killed while it starts, with work of before to take up: at call `number` since it opened the store. */
  async startPoint(number, when, unfinished = Syscalls.before[number % Syscalls.before.length]) {
    const { rig } = this;
    const how = `tools/chaos --point start:main:${number}:${when}`;
    const t = this.tally('start', 'main');
    await this.up();
    // Something to find: an operation cut off in the middle.
    const [name, thread, at] = unfinished;
    const { killed } = await this.run(name, thread, at, 'after');
    if (!killed) { t.missed += 1; return false; }
    rig.dropClients();
    rig.underTracer(['main', number, when, '/daypass.db.lock']);
    const started = rig.w.startServer().catch(() => {});
    await Promise.race([started, rig.told('killed')]);
    const line = rig.tracer.told.lines.find((l) => l.startsWith('killed '));
    if (!line) {
      t.missed += 1;
      t.range = Math.max(t.range, rig.tracer.told.lines.filter((l) => l.startsWith('at ')).length);
      await rig.settles(how);
      return false;
    }
    await rig.gone();
    await started;
    t.met += 1;
    for (const s of rig.count()) t.states[s] = (t.states[s] ?? 0) + 1;
    this.last = line;
    rig.underTracer();
    await this.lookAfterDeath(how);
    return true;
  }
  static before = [['provision', 'dp-provision', 6], ['revoke', 'dp-revoke', 6], ['extend', 'dp-provision', 4]];
  async sweepStart(from, time, step = 1) {
    let missed = 0;
    for (let number = Math.max(1, from); ; number += step) {
      if (!time()) return number;
      const met = [];
      for (const when of ['before', 'after']) met.push(await this.startPoint(number, when));
      missed = met.some(Boolean) ? 0 : missed + 1;
      if (missed >= 3) return 0;
    }
  }

  report() {
    const rows = Object.entries(this.points).map(([k, t]) => `  ${k.padEnd(24)} ${String(t.range || '').padStart(5)} calls ${String(t.met).padStart(6)} kills ${String(t.missed).padStart(5)} passed by   ${Object.entries(t.states).map(([s, n]) => `${s} ${n}`).join(', ')}`);
    const verbs = {};
    for (const t of Object.values(this.points)) for (const [v, n] of Object.entries(t.verbs)) verbs[v] = (verbs[v] ?? 0) + n;
    return ['syscall matrix:', ...rows, '  by verb on the stack:', ...Object.entries(verbs).sort((a, b) => b[1] - a[1]).map(([v, n]) => `    ${String(n).padStart(5)}  ${v === '-' ? 'in none' : v}`)].join('\n');
  }
}
