// The evil tenant: A may do whatever its administrators can, and must never learn of B, use what is B's, or hold B up.
// operations.mjs says how each operation is called, commands.mjs each command; a new one without an entry there is a failure here.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { TwoTenants } from './two_tenants.mjs';

let w, a, b;
const live = {};
before(async () => { w = await TwoTenants.start(); ({ a, b } = w); });
after(async () => { await w?.stop(); });

test('two tenants are made and applied while the server runs, and people of both get psql', { timeout: 60000 }, async () => {
  const pid = w.server.pid;
  for (const t of [a, b]) {
    const made = await w.operate('tenants', 'create', t.id, '--display', t.c.display);
    assert.equal(made.code, 0, made.err);
    const applied = await t.apply();
    assert.equal(applied.code, 0, applied.err);
  }
  for (const [name, t] of [['a', a], ['b', b]]) {
    for (const idp of Object.keys(t.ops)) {
      const home = `${name}-${idp}-dana`;
      const done = await t.login(home, idp, 'dana');
      assert.equal(done.code, 0, done.err);
      const [role] = t.given()[idp];
      const ls = JSON.parse((await t.cli(home, ['ls', '--all', '-o', 'json'])).out).roles;
      // The same person and groups at the other provider, and in the other tenant, get the other role.
      assert.deepEqual(ls.filter((r) => r.verdict === 'allow').map((r) => r.role), [role], `${name} ${idp}`);
      assert.equal(ls.length, 2);
      const target = role.slice(0, role.lastIndexOf('/'));
      const session = w.psql(t, home, target);
      assert.equal(await session.say('SELECT name FROM owner'), t.c.row, "this tenant's own server");
      assert.equal(await session.say(`SELECT '${t.c.sql}'`), t.c.sql);
      live[`${name} ${idp === 'corp' ? 'corp' : 'second'}`] = session;
      const other = t.given()[idp === 'corp' ? t.c.idp : 'corp'][0];
      const refused = await t.cli(home, ['connect', other.slice(0, other.lastIndexOf('/')), '--role', other, '--', '-c', 'SELECT 1']);
      assert.equal(refused.code, 3, refused.err);
    }
    assert.equal((await t.login(`${name}-ada`, 'corp', 'ada')).code, 0);
    assert.equal((await t.cli(`${name}-ada`, ['sessions', 'ls'])).code, 0);
    // "admins" of the other provider administer nothing.
    const { access_token: token } = await t.signIn(t.c.idp, 'ada');
    assert.equal((await t.api('GET', '/sessions', token)).status, 403);
  }
  assert.equal(w.server.pid, pid);
  assert.equal(w.server.exitCode, null);
});
