// Accounts that nobody answers for, made by hand beside a real server: what is ours goes, and nothing else.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import pg from 'pg';
import { World, until } from './harness.mjs';

let w, instance, live, taken;
const account = (letter) => `dp_${instance}_${letter.repeat(26)}`;
const mark = (letter, tenant = 'default', of = instance) => `daypass ${of} ${tenant}/gr_${letter.repeat(26)}`;
/** As the admin login would have made it. */
const make = (name, comment, more = '') => w.pg.sql(`SET ROLE daypass_admin; CREATE ROLE "${name}" LOGIN PASSWORD 'made-by-hand' ${more};${comment === null ? '' : `COMMENT ON ROLE "${name}" IS '${comment}'`}`);
const there = async (...names) => (await w.pg.sql(`SELECT rolname FROM pg_roles WHERE rolname IN (${names.map((n) => `'${n}'`).join(',')})`)).length;
const orphans = async (...args) => { const done = await w.cli('operator', ['admin', 'orphans', '-o', 'json', ...args]); return { code: done.code, err: done.err, ...JSON.parse(done.out) }; };
const found = (r) => Object.fromEntries(r.targets.flatMap((t) => t.accounts.map((a) => [a.account, a])));

before(async () => {
  w = await World.start();
  await w.login('dana');
  live = await w.connect(await w.creds('dana'));
  const [own] = await w.pg.roles();
  instance = own.split('_')[1];
  taken = own;
});
after(async () => { await w.stop(); });

test('nothing is wrong: exit 0', async () => {
  const done = await w.cli('operator', ['admin', 'orphans']);
  assert.equal(done.code, 0, done.err);
  assert.equal(done.out, '');
  assert.match(done.err, /^1 targets looked at, 0 orphans\n/);
});

test('an orphan is listed, beside what only looks like one', async () => {
  await make(account('a'), mark('a'), "VALID UNTIL '2036-01-01' IN ROLE orders_reader");
  await make(account('b'), mark('b', 'nobody-here'));
  await make(account('c'), null);  // our name, no mark
  await make('analyst', mark('a'));  // our mark, another name
  await make(`dp_other1_${'d'.repeat(26)}`, mark('d', 'default', 'other1'));
  await make('reporting', 'daypass: ask the data team');
  const seen = await orphans();
  assert.equal(seen.code, 1);
  assert.equal(seen.orphans, 2);
  const accounts = found(seen);
  assert.deepEqual(Object.entries(accounts).map(([name, a]) => [name, a.kind]).sort(), [
    ['analyst', 'copied_mark'], [account('a'), 'unknown'], [account('b'), 'unknown'], [`dp_other1_${'d'.repeat(26)}`, 'other_installation'],
  ].sort());
  assert.equal(accounts[account('a')].grant, `gr_${'a'.repeat(26)}`);
  assert.match(accounts[account('a')].valid_until, /^2036-01-01T/);
  assert.equal(accounts[account('b')].account_tenant, 'nobody-here');
  assert.equal(accounts[`dp_other1_${'d'.repeat(26)}`].instance, 'other1');
  const text = await w.cli('operator', ['admin', 'orphans']);
  assert.equal(text.code, 1);
  assert.match(text.out, /the store never heard of it\n/);
  assert.match(text.out, /of installation other1; never touched/);
  assert.match(text.err, /daypass admin orphans --fix/);
  assert.equal(await there(account('a'), account('b'), account('c'), 'analyst', 'reporting'), 5, 'a look touches nothing');
  assert.equal((await orphans('--tenant', 'default')).orphans, 2);
  assert.equal((await w.cli('operator', ['admin', 'orphans', '--tenant', 'nobody-here'])).code, 6);
});

test('only the operator asks for it', async () => {
  assert.notEqual((await w.cli('dana', ['admin', 'orphans', '--fix'])).code, 0);
  for (const [method, at] of [['GET', '/api/v1/orphans'], ['POST', '/api/v1/orphans/remove']]) assert.ok((await fetch(w.url + at, { method })).status >= 400);
  assert.equal(await there(account('a'), account('b')), 2);
});

test('--fix takes away what is ours, with its sessions, and leaves the rest', { timeout: 60000 }, async () => {
  const session = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: account('a'), password: 'made-by-hand', database: 'orders' });
  session.on('error', (e) => { session.lastError = e; });
  await session.connect();
  assert.equal((await session.query('SELECT count(*)::int AS n FROM orders')).rows[0].n, 1000);
  const done = await orphans('--fix');
  assert.equal(done.code, 0, JSON.stringify(done));
  assert.equal(done.removed, 2);
  assert.equal(done.orphans, 0);
  await until(() => session.lastError, 'the orphan\'s session to be gone');
  assert.equal(await there(account('a'), account('b')), 0);
  assert.equal(await there(account('c'), 'analyst', 'reporting', `dp_other1_${'d'.repeat(26)}`, taken), 5);
  assert.equal((await live.query('SELECT 1 AS one')).rows[0].one, 1, 'who has a grant works on');
  const records = (await w.audit()).filter((r) => r.action.startsWith('orphan.') && r.object === account('a'));
  assert.deepEqual(records.map((r) => [r.action, r.actor]).filter(([action]) => action !== 'orphan.found'), [['orphan.removing', 'operator'], ['orphan.removed', 'operator']]);
  assert.equal((await orphans()).code, 0);
});

test('a grant that is closed has no account', { timeout: 60000 }, async () => {
  const [grant] = JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out).grants;
  assert.equal((await w.cli('dana', ['grants', 'end', grant.id])).code, 0);
  await until(async () => (await there(taken)) === 0, 'the account to be gone');
  await make(taken, mark('x').replace(/gr_.*/, grant.id));
  const seen = found(await orphans());
  assert.equal(seen[taken].kind, 'closed_grant');
  const done = await w.cli('operator', ['admin', 'orphans', '--fix']);
  assert.equal(done.code, 0, done.err);
  assert.match(done.out, /its grant is closed; removed/);
  assert.equal(await there(taken), 0);
});

test('what can\'t be taken away is left and said', { timeout: 60000 }, async () => {
  await make(account('e'), mark('e'));
  // Whatever rests on it is not ours to drop.
  await w.pg.sql(`CREATE TABLE resting (a int); ALTER TABLE resting OWNER TO "${account('e')}"`, 'orders');
  const done = await orphans('--fix');
  assert.equal(done.code, 1);
  assert.equal(done.orphans, 1);
  assert.ok(found(done)[account('e')].left.length > 0);
  assert.equal(await there(account('e')), 1);
  assert.equal((await w.audit()).filter((r) => r.action === 'orphan.removed' && r.object === account('e')).length, 0);
  await w.pg.sql('DROP TABLE resting', 'orders');
  assert.equal((await orphans('--fix')).code, 0);
});

test('a restored store lists them and removes none', { timeout: 60000 }, async () => {
  await make(account('f'), mark('f'));
  await w.stopServer();
  await w.startServer({ args: ['--restored'], answers: 'livez' });
  assert.equal((await orphans()).code, 1);
  const refused = await w.cli('operator', ['admin', 'orphans', '--fix']);
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /restored from a backup/);
  assert.equal(await there(account('f')), 1);
  assert.equal((await w.cli('operator', ['admin', 'restore', '--confirm'])).code, 0);
  assert.equal((await orphans('--fix')).code, 0);
  assert.equal(await there(account('f')), 0);
});

test('a target that does not answer is said', { timeout: 60000 }, async () => {
  await w.pg.stop();
  const done = await w.cli('operator', ['admin', 'orphans']);
  assert.equal(done.code, 7, done.err);
  assert.match(done.out, /pg\/orders +\? +can't be looked at: /);
  assert.match(done.err, /1 could not be looked at/);
  w.pg.launch();
  await w.pg.ready();
});
