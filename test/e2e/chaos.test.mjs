// A few kill points of `make chaos`, so that its tools work whenever they are needed: one call of each thread that carries
// an operation, one start cut off, two random kills; and the checks can speak.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Rig } from './chaos/rig.mjs';
import { Syscalls } from './chaos/syscalls.mjs';
import { Kills } from './chaos/kills.mjs';

let rig, syscalls;
before(async () => { rig = await Rig.start(); syscalls = new Syscalls(rig); });
after(async () => { await rig.stop(); });
const green = () => assert.deepEqual(rig.faults.splice(0), []);

test('killed at a system call, nothing is left and nothing is falsely closed', { timeout: 120000 }, async (t) => {
  const why = Syscalls.missing();
  if (why) return t.skip(why);
  // In the middle of a transaction, at its sync, in the middle of a change on the target, behind one.
  const points = [['provision', 'dp-engine', 20, 'before'], ['provision', 'dp-engine', 70, 'after'], ['provision', 'dp-provision', 5, 'after'], ['extend', 'dp-provision', 6, 'before'], ['revoke', 'dp-engine', 30, 'before'], ['revoke', 'dp-revoke', 4, 'after'], ['revoke', 'dp-revoke', 6, 'before']];
  let met = 0;
  for (const point of points) met += await syscalls.point(...point);
  met += await syscalls.startPoint(60, 'after', ['revoke', 'dp-revoke', 4]);
  green();
  assert.ok(met >= 6, `${met} kill points were met`);
});

test('killed at random instants', { timeout: 60000 }, async () => {
  await rig.kill();
  rig.bare();
  await rig.w.startServer();
  const kills = new Kills(rig);
  for (let seed = 1; seed <= 2; seed += 1) await kills.round(seed);
  green();
  assert.ok(await rig.verifyAudit());
});

test('an account that is left, one that outlives its grant, one of a closed grant: each is seen', { timeout: 60000 }, async () => {
  await rig.endAll();
  await rig.open(rig.reader);
  await rig.storedSo((all) => all[0]?.state === 'active' && all[0].open === undefined, 'an active grant');
  const [grant] = rig.live();
  assert.deepEqual(await rig.wrongNow(), []);
  await rig.super.query(`ALTER ROLE "${grant.account}" VALID UNTIL '2099-01-01'`);
  assert.match((await rig.wrongNow()).join(), /is valid for \d+ ms after its grant's end/);
  await rig.endAll();
  await rig.super.query(`CREATE ROLE "${grant.account}"`);
  assert.match((await rig.wrongNow()).join(), /exists though its grant is closed/);
  await rig.super.query(`DROP ROLE "${grant.account}"; CREATE ROLE dp_left_over`);
  assert.match((await rig.wrongNow()).join(), /dp_left_over exists and no grant does/);
  assert.equal((await rig.expected(() => rig.settles('nothing: this is a control', 200))).length, 1);
  await rig.super.query('DROP ROLE dp_left_over');
});
