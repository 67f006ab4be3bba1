// make chaos: kills a real server in every way we can think of, beside a real PostgreSQL, and looks whether anything is left.
//   run.mjs                          everything once
//   run.mjs --budget 600             as much as fits in 600 s, from where test/chaos/cursor.json says that it stopped last time
//   run.mjs --rounds 200 [--seed 7]  random kills alone
//   run.mjs --only syscalls,start,kills,ends,power,postgres,lies,slots,sleep,network,clocks,disk,sync
//                                    some of the parts; --step 7: each seventh system call; --operation revoke: of one alone; --full 1: longer
//                                    sleeps and each page, also with a budget
//   run.mjs --ranges 1               what the threads do in each operation, call by call
//   run.mjs --point OPERATION:THREAD:N:before|after, --kill WHAT:MS, --past-the-end SEED    one of them again
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Rig, journalStates, tool } from './rig.mjs';
import { Syscalls, operations } from './syscalls.mjs';
import { Kills } from './kills.mjs';
import { Faults } from './faults.mjs';

const names = ['budget', 'rounds', 'only', 'point', 'kill', 'seed', 'step', 'past-the-end', 'worlds', 'ranges', 'full', 'operation'];
const { values: o } = parseArgs({ options: Object.fromEntries(names.map((k) => [k, { type: 'string' }])) });
const cursorFile = path.join(import.meta.dirname, '../../chaos/cursor.json');
const cursor = JSON.parse(fs.readFileSync(cursorFile, 'utf8'));
const begun = Date.now();
const seconds = () => (Date.now() - begun) / 1000;
const say = (line) => console.log(`${seconds().toFixed(0).padStart(6)} s  ${line}`);
const budget = o.budget ? Number(o.budget) : Infinity;
const faultParts = ['postgres', 'lies', 'slots', 'sleep', 'network', 'clocks', 'disk', 'sync'];
const single = o.point || o.kill || o['past-the-end'] || o.ranges;
const parts = single ? [] : o.only ? o.only.split(',') : o.rounds ? ['kills'] : ['syscalls', 'start', 'kills', 'ends', 'power', ...faultParts];
// Asked to stop it finishes what it is at and says what came of it; asked twice it goes, and the harness ends its children.
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { if (stopped) process.exit(130); stopped = true; });
/** True while the part that ends at this share of the budget may go on. */
const until = (share) => () => !stopped && seconds() < budget * share;
/** With a budget each part goes on where it stopped. */
const from = (key, first) => (o.budget ? cursor[key] ?? first : first);
const keep = (key, next, first) => {
  cursor[key] = next === 0 ? first : next;
  if (o.budget) fs.writeFileSync(cursorFile, JSON.stringify(cursor, null, 2) + '\n');
};

/** All of them once, with a budget from the one on that it stopped at last time; `play` says whether one is through. */
async function inTurn(key, all, time, play) {
  const first = from(key, 0) % all.length;
  for (let i = 0; i < all.length && time(); i += 1) {
    const at = (first + i) % all.length;
    const through = await play(all[at]);
    keep(key, through ? (at + 1) % all.length : at, 0);
    if (!through) return;
  }
}

async function one(rig, syscalls, kills) {
  if (o.ranges) {
    for (const [name, { threads }] of Object.entries(operations)) for (const thread of threads) {
      await syscalls.range(name, thread);
      const t = syscalls.tally(name, thread);
      console.log(`${name} ${thread}: ${t.range} calls\n${t.lines.map((l) => `  ${l.slice(3)}`).join('\n')}`);
    }
  } else if (o.point) {
    const [name, thread, number, when] = o.point.split(':');
    const met = name === 'start' ? await syscalls.startPoint(Number(number), when) : await syscalls.point(name, thread, Number(number), when);
    console.log(met ? `killed ${syscalls.last}` : 'the operation was done without meeting that call');
  } else if (o.kill) {
    const [what, after] = o.kill.split(':');
    await kills.round(1, { what, after: Number(after) });
  } else {
    await kills.pastTheEnd(Number(o['past-the-end']));
  }
}

/** Kills: at system calls and at random. */
async function deaths() {
  const rig = await Rig.start();
  const syscalls = new Syscalls(rig), kills = new Kills(rig);
  // What was found before a test breaks is told all the same.
  await kill(rig, syscalls, kills).catch((e) => rig.fault(`the test broke: ${e.stack ?? e}`, 'the same command'));
  await rig.verifyAudit();
  if (parts.includes('syscalls') || parts.includes('start')) console.log(syscalls.report());
  if (parts.includes('kills') || parts.includes('ends')) console.log(kills.report());
  console.log(`killed in:\n${Object.entries(rig.killed).sort().map(([k, v]) => `  ${k.padEnd(24)} ${v}`).join('\n')}\nslowest clean-up ${rig.worst} ms`);
  await rig.stop();
  return rig.faults.length;
}

async function kill(rig, syscalls, kills) {
  const why = Syscalls.missing();
  if (single) return one(rig, syscalls, kills);
  for (const part of parts.filter((p) => p === 'syscalls' || p === 'start')) if (why) console.log(`skipped: ${part}: ${why}`);
  if (parts.includes('syscalls') && !why) {
    const all = Object.entries(operations).filter(([name]) => !o.operation || name === o.operation).flatMap(([name, { threads }]) => threads.map((thread) => [name, thread]));
    await inTurn('operation', all, until(0.35), async ([name, thread]) => {
      const key = `${name} ${thread}`;
      const next = await syscalls.sweep(name, thread, from(key, 1), until(0.35), Number(o.step ?? 1));
      say(`${key}: ${next === 0 ? 'through' : `next is ${next}`}`);
      keep(key, next, 1);
      return next === 0;
    });
  }
  if (parts.includes('start') && !why && until(0.45)()) {
    const next = await syscalls.sweepStart(from('start', 1), until(0.45), Number(o.step ?? 1));
    say(`start: ${next === 0 ? 'through' : `next is ${next}`}`);
    keep('start', next, 1);
  }
  if (parts.includes('kills') || parts.includes('ends')) {
    await rig.kill();
    rig.bare();
    await rig.w.startServer();
  }
  if (parts.includes('ends') && until(0.5)()) {
    await kills.manyPastTheEnd(1);
    say(`ends: ${kills.late.tried} logins tried, ${kills.late.extended} grants extended just before`);
  }
  if (parts.includes('kills')) {
    const first = Number(o.seed ?? from('seed', 1));
    const most = Number(o.rounds ?? (o.budget ? Infinity : 1000));
    const enough = () => journalStates.every((s) => kills.met[s] >= 50);
    let n = 0;
    for (; (n < most || (!o.rounds && !o.budget && !enough())) && until(0.7)(); n += 1) {
      if (n % 25 === 10) await kills.pastTheEnd(first + n);
      else await kills.round(first + n);
    }
    say(`random kills: ${n}`);
    keep('seed', first + n, 1);
  }
}

/** Worlds of the simulator over the real store, on a disk that loses power. */
function power() {
  const program = tool('daypass-powercuts');
  if (!fs.existsSync(program)) { console.log(`skipped: power: ${program} is not there`); return 0; }
  const first = from('worlds', 1);
  const much = o.budget ? ['--seconds', String(Math.max(1, Math.round(budget * 0.15)))] : ['--seeds', o.worlds ?? '2000'];
  const played = spawnSync(program, ['--first', String(first), ...much], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const lines = played.stdout.trimEnd().split('\n');
  console.log(lines.slice(-40).join('\n'));
  if (played.status === 0) keep('worlds', Number(/next seed (\d+)/.exec(played.stdout)[1]), 1);
  return played.status === 0 ? 0 : 1;
}

async function troubles(wanted) {
  const faults = await Faults.start({ full: Boolean(o.full) || !o.budget });
  await inTurn('fault', wanted, until(1), async (name) => {
    const most = faults.casesOf(name);
    const next = await faults.play(name, from(name, 0) % most, until(1));
    keep(name, next % most, 0);
    return next >= most;
  });
  console.log(faults.report());
  await faults.rig.verifyAudit();
  const n = faults.rig.faults.length;
  await faults.stop();
  return n;
}

let red = 0;
if (single || parts.some((p) => ['syscalls', 'start', 'kills', 'ends'].includes(p))) red += await deaths();
if (parts.includes('power')) red += power();
const wanted = faultParts.filter((p) => parts.includes(p));
if (wanted.length) red += await troubles(wanted);
console.log(red === 0 ? `green, ${seconds().toFixed(0)} s` : `RED: ${red}, ${seconds().toFixed(0)} s`);
process.exit(red === 0 ? 0 : 1);
