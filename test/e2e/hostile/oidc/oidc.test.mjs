// Every module of modules.mjs against the real server: its lie is refused for the right reason and leaves no session, its twin
// with the switch off is accepted. Slow ones run beside the rest, so that the rest shows that nobody waits for them.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { until } from '../../harness.mjs';
import { HostileWorld, judge } from './world.mjs';
import { modules as all, notHere, plans, readmeText, tables as everything } from './modules.mjs';

// What needs namespaces is run by ssrf.test.mjs.
const { ssrf, ...tables } = everything;
const modules = all.filter((m) => !ssrf.includes(m));

let world;
const results = new Map();
const beside = new Map();  // the slow ones, under way
let done = 0;              // of the others
async function both(module) {
  const sides = await world.both(module);
  results.set(module, sides);
  return sides;
}
before(async () => {
  world = await HostileWorld.start(modules);
  const began = Date.now();
  world.tenSecondsLater = () => until(() => Date.now() > began + 12_000, 'keys may be fetched again');
  for (const module of tables.slow) beside.set(module, both(module).then((r) => ({ ...r, meanwhile: done })));
});
after(async () => { await world?.stop(); });

const ok = ({ twin, lie }) => {
  assert.equal(twin.problem, null, `the twin: ${twin.problem}`);
  assert.equal(lie.problem, null, lie.problem);
};
for (const [table, list] of Object.entries(tables)) {
  if (table === 'slow') continue;
  describe(table, () => { for (const module of list) test(module.name, async () => { ok(await both(module)); done += 1; }); });
}
describe('slow', () => {
  for (const module of tables.slow) test(module.name, { timeout: 60_000 }, async () => {
    const { meanwhile, ...sides } = await beside.get(module);
    ok(sides);
    // Each of these waits for ten seconds and more; whoever stood behind it would have waited too.
    if (module.apart === 'slow') assert.ok(meanwhile > 30, `${meanwhile} others were done meanwhile`);
  });
});

test('what was accepted was not what was refused: each judgement turns over with the switch', () => {
  let turned = 0;
  for (const [module, { twin, lie }] of results) {
    if (module.accept || lie.problem || twin.problem) continue;
    // The twin's outcome in the place of the lie's is a server that lets the lie in; the other way it keeps everybody out.
    assert.notEqual(judge(module, module.place, twin.outcome, true), null, `${module.name}: accepted, and nobody minds`);
    assert.notEqual(judge(module, module.twin, lie.outcome, false), null, `${module.name}: refused, and nobody minds`);
    assert.notEqual(judge(module, module.place, { ...lie.outcome, check: 'another.check' }, true), null, `${module.name}: refused for anything`);
    turned += 1;
  }
  assert.ok(turned > 300, `${turned} turned over`);
});

test('whoever was refused has no session', async () => {
  for (const tenant of world.tenants) {
    const left = await world.sessions(tenant);
    for (const { idp, accepted, ended = 0 } of tenant.places) assert.equal(left[idp]?.length ?? 0, accepted - ended, `${idp}: ${accepted} sign-ins were accepted, ${ended} ended`);
  }
});

test('the audit log has each refusal by its check, and no token', async () => {
  for (const tenant of world.tenants) {
    const done = await world.cli('operator', ['audit', 'export', '--tenant', tenant.id]);
    assert.equal(done.code, 0, done.err);
    assert.doesNotMatch(done.out, /eyJ[\w-]{20}|client-secret-of/);
    const records = done.out.trim().split('\n').map((l) => JSON.parse(l));
    const finished = records.filter((r) => r.action === 'login.finished' && r.facts.idp !== 'home').length;
    assert.equal(finished, tenant.places.reduce((sum, p) => sum + p.accepted, 0), `${tenant.id}: sign-ins`);
    for (const [module, { lie }] of results) {
      if (module.place.tenant !== tenant || !module.refuse || lie.problem || module.table === 'logout') continue;
      const { check } = lie.outcome;
      const kept = records.some((r) => r.action === 'login.failed' && r.facts.check === check && [module.place.idp, 'home'].includes(r.object));
      assert.ok(world.log.includes(`"${lie.outcome.request}"`), `${module.name}: the server's log has the request`);
      // Of a sign-in that nobody began nothing is kept for ever, nor of one that could not be begun.
      if (check !== 'login.state' && !check.startsWith('discovery.')) assert.ok(kept, `${module.name}: the audit log has ${check}`);
    }
  }
  assert.doesNotMatch(world.log, /eyJ[\w-]{20}|client-secret-of/);
});

test('nobody was led astray', () => assert.deepEqual(world.op.strangers, []));

test('README.md says of each module what becomes of it, and nothing of the suite is left out', () => {
  const text = fs.readFileSync(new URL('README.md', import.meta.url), 'utf8');
  assert.equal(text, readmeText(text), 'node test/e2e/hostile/oidc/modules.mjs writes it anew');
  const named = new Set(modules.flatMap((m) => m.of));
  for (const [plan, list] of Object.entries(plans)) for (const name of list) assert.ok(named.has(name) !== notHere.has(name), `${plan}: ${name} is either tried or has no place here`);
  for (const name of named) assert.ok(Object.values(plans).flat().includes(name), `${name} is in no plan`);
});
