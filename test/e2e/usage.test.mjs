// What was given and never used, from what real clients send.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { World, until } from './harness.mjs';

let w;
const today = () => new Date().toISOString().slice(0, 10);
const report = async (...args) => { const done = await w.cli('ada', ['report', 'unused', '-o', 'json', ...args]); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const role = async (name) => (await report()).roles.find((r) => r.role === name);
const objects = (r) => Object.fromEntries(r.objects.map((o) => [`${o.schema}.${o.name}`, o]));

before(async () => {
  w = await World.start();
  await w.pg.sql(`CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO orders_reader;
    CREATE TABLE shop.stock (n int); CREATE TABLE shop."Never used" (n int); CREATE VIEW shop.seen AS SELECT * FROM shop."Never used";
    GRANT SELECT ON shop.stock, shop."Never used", shop.seen TO orders_reader`, 'orders');
  for (const person of ['dana', 'ada']) await w.login(person);
});
after(async () => { await w.stop(); });

test('before anybody works: observed since today, and by which policies', async () => {
  const all = await report();
  assert.deepEqual(all.roles.map((r) => [r.role, r.state, r.since, r.grants]), [['pg/orders/reader', 'too_early', today(), 0], ['pg/orders/writer', 'too_early', today(), 0]]);
  const [reader, writer] = all.roles;
  assert.deepEqual(Object.keys(objects(reader)), ['public.orders', 'shop.Never used', 'shop.seen', 'shop.stock']);
  assert.deepEqual(objects(writer)['public.bulk'], { schema: 'public', name: 'bulk', readable: true, writable: true, unused: true });
  assert.equal(reader.policies.length, 1);
  assert.equal(reader.policies[0].id, 'data-read');
  assert.equal(reader.policies[0].file, 'policies/main.cedar');
  assert.equal(reader.policies[0].to, 'whoever is in Group::"demo/data"');
});

test('psql and a client that prepares: the tables they named, on this day, and nobody\'s name', { timeout: 60000 }, async () => {
  const psql = await w.cli('dana', ['connect', 'pg/orders', '--', '-X', '-c', 'SELECT count(*) FROM orders -- FROM shop."Never used"', '-c', 'WITH "Never used" AS (SELECT 1) SELECT * FROM "Never used"']);
  assert.equal(psql.code, 0, psql.err);
  const client = await w.connect(await w.creds('dana'));
  await client.query({ name: 'prepared', text: 'SELECT n FROM shop.stock WHERE n = $1', values: [1] });
  await client.query({ name: 'prepared', text: 'SELECT n FROM shop.stock WHERE n = $1', values: [2] });
  await client.query('SELECT * FROM shop.seen');
  await assert.rejects(client.query('INSERT INTO orders VALUES (1, 1)'), /permission denied/);
  await client.end();
  const reader = await until(async () => { const r = await role('pg/orders/reader'); return r.connections === 2 && r; }, 'both connections to be counted');
  assert.equal(reader.grants, 1);
  const seen = objects(reader);
  assert.equal(seen['public.orders'].last_read, today());
  assert.equal(seen['public.orders'].last_written, undefined, 'what was refused is no use');
  assert.equal(seen['shop.stock'].last_read, today());
  assert.equal(seen['shop.seen'].last_read, today(), 'a view is what it is called');
  assert.equal(seen['shop.Never used'].unused, true);
  assert.deepEqual(reader.objects.filter((o) => o.unused).map((o) => o.name), ['Never used']);
  assert.equal(reader.last_used, today());
  assert.equal(reader.last_unread, undefined);
  assert.ok(!JSON.stringify(await report()).includes('dana'));
  const text = await w.cli('ada', ['report', 'unused', '--all']);
  assert.equal(text.code, 0);
  assert.match(text.out, /pg\/orders\/reader: .*\n {2}1 grants and 2 connections since/);
  assert.match(text.out, / {2}not used: shop\.Never used \(read\)\n {2}policy data-read \(policies\/main\.cedar:1\) gives it to whoever is in Group::"demo\/data"\n/);
});

test('it outlives a restart, at once', { timeout: 60000 }, async () => {
  await w.stopServer();
  await w.startServer();
  const reader = await role('pg/orders/reader');
  assert.equal(reader.connections, 2);
  assert.equal(objects(reader)['shop.stock'].last_read, today());
});

test('only administrators see it, and a target that is away leaves it open', { timeout: 60000 }, async () => {
  assert.equal((await w.cli('dana', ['report', 'unused'])).code, 3);
  assert.equal((await w.cli('ada', ['report', 'unused', '--days', '0'])).code, 2);
  await w.pg.stop();
  const reader = await role('pg/orders/reader');
  assert.equal(reader.objects.length, 0);
  assert.ok(reader.objects_unknown.length > 0);
  assert.equal(reader.state, 'unclear');
  w.pg.launch();
  await w.pg.ready();
});

test('a role that is gone and comes back is a new one', { timeout: 60000 }, async () => {
  const was = fs.readFileSync(`${w.tenant}/tenant.toml`, 'utf8');
  const { sessions } = JSON.parse((await w.cli('operator', ['sessions', 'ls', '-o', 'json'])).out);
  for (const s of sessions.filter((x) => x.principal === 'demo/dana')) assert.equal((await w.cli('operator', ['sessions', 'end', s.id])).code, 0);
  await until(async () => (await w.pg.roles()).length === 0, 'no account to be left');
  const without = was.replace(/\[\[role\]\]\nname = "pg\/orders\/reader"\ngroup = "orders_reader"\n/, '');
  const policy = fs.readFileSync(`${w.tenant}/policies/main.cedar`, 'utf8');
  w.write('tenant/tenant.toml', without);
  w.write('tenant/policies/main.cedar', policy.split('\n').filter((l) => !l.includes('data-read') && !l.includes('orders/reader')).join('\n'));
  assert.equal((await w.cli('operator', ['apply', w.tenant, '--yes'])).code, 0);
  assert.equal(await role('pg/orders/reader'), undefined);
  w.write('tenant/tenant.toml', was);
  w.write('tenant/policies/main.cedar', policy);
  assert.equal((await w.cli('operator', ['apply', w.tenant, '--yes'])).code, 0);
  const reader = await role('pg/orders/reader');
  assert.equal(reader.connections, 0);
  assert.equal(objects(reader)['shop.stock'].last_read, undefined);
});
