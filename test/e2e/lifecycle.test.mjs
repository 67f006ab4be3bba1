import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import pg from 'pg';
import { World, Postgres, daypass, until } from './harness.mjs';

let w;
before(async () => { w = await World.start(); await w.login('dana'); });
after(async () => { await w.stop(); });

const gone = async () => until(async () => (await w.pg.roles()).length === 0 && (await w.pg.backends()).length === 0, 'nothing of ours on the server');
const grants = async (...args) => JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json', ...args])).out).grants;
const endAll = async () => { for (const g of await grants()) await w.cli('dana', ['grants', 'end', g.id]); await gone(); };

test('the end cuts a session whatever it does: idle, in a query, in a transaction, in COPY', { timeout: 60000 }, async () => {
  const creds = await w.creds('dana');
  const clients = await Promise.all(Array.from({ length: 4 }, () => w.connect(creds)));
  const [, sleeping, inTransaction, copying] = clients;
  sleeping.query('SELECT pg_sleep(300)').catch((e) => { sleeping.lastError = e; });
  await inTransaction.query('BEGIN; SELECT 1');
  copying.query('COPY (SELECT repeat(\'x\', 1000) FROM generate_series(1, 100000000)) TO STDOUT').catch(() => {});
  const [grant] = await grants();
  const ended = await w.cli('dana', ['grants', 'end', grant.id]);
  assert.equal(ended.code, 0, ended.err);
  await until(() => clients.every((c) => c.lastError), 'every client to be cut');
  for (const c of [clients[0], sleeping, inTransaction]) assert.equal(c.lastError.code, '57P01', String(c.lastError));
  assert.match(clients[0].lastError.message, new RegExp(`grant ${grant.id} on pg/orders ended`));
  await gone();
});

test('a grant is extended in place: the session goes on, the cap holds', async () => {
  const client = await w.connect(await w.creds('dana', '--for', '2m'));
  const [grant] = await grants();
  const more = await w.cli('dana', ['grants', 'extend', grant.id, '--for', '30m', '-o', 'json']);
  assert.equal(more.code, 0, more.err);
  const { grant: after } = JSON.parse(more.out);
  assert.ok(Date.parse(after.ends_at) - Date.parse(grant.ends_at) > 20 * 60e3);
  await until(async () => Math.abs(Date.parse((await w.pg.sql(`SELECT rolvaliduntil::text AS t FROM pg_roles WHERE rolname = '${grant.account}'`))[0].t) - Date.parse(after.ends_at)) < 2000, 'VALID UNTIL to follow');
  await w.cli('dana', ['grants', 'extend', grant.id, '--for', '5h']);
  const [capped] = await grants();
  assert.equal(Date.parse(capped.ends_at) - Date.parse(capped.opened_at), 3600e3, 'policy says 1h');
  const no = await w.cli('dana', ['grants', 'extend', grant.id, '--for', '5h']);
  assert.equal(no.code, 1);
  assert.match(no.err, /the most that policy allows/);
  assert.equal((await client.query('SELECT 1 AS n')).rows[0].n, 1);
  await client.end();
  await endAll();
});

test('a policy change ends what it no longer permits, and only that', async () => {
  const reader = await w.connect(await w.creds('dana'));
  const writer = await w.connect(await w.creds('dana', '--role', 'writer'));
  const file = `${w.tenant}/policies/main.cedar`;
  const text = fs.readFileSync(file, 'utf8');
  fs.writeFileSync(file, text.replace(/@id\("data-write"\)[^;]*;/, ''));
  const applied = await w.cli('operator', ['apply', w.tenant, '--yes']);
  assert.equal(applied.code, 0, applied.err);
  assert.match(applied.err, /1 grants ended/);
  await until(() => writer.lastError, 'the writer to be cut');
  assert.equal(writer.lastError.code, '57P01');
  assert.equal((await reader.query('SELECT 1 AS n')).rows[0].n, 1);
  fs.writeFileSync(file, text);
  assert.equal((await w.cli('operator', ['apply', w.tenant, '--yes'])).code, 0);
  await reader.end();
  await endAll();
});

test('a restart keeps logins and grants; live connections end, the account does not', async () => {
  const client = await w.connect(await w.creds('dana'));
  const [before_] = await grants();
  assert.equal(await w.stopServer(), 0, 'SIGTERM drains');
  await until(() => client.lastError, 'the client to be told');
  await w.startServer();
  assert.equal((await w.cli('dana', ['status'])).code, 0);
  const [after_] = await grants();
  assert.equal(after_.id, before_.id);
  assert.equal(after_.connections, 0);
  await endAll();
});

test('killed for good: no login past VALID UNTIL', { timeout: 60000 }, async () => {
  const creds = await w.creds('dana', '--for', '3s');
  const client = await w.connect(creds);
  const [{ u: role }] = (await client.query('SELECT current_user AS u')).rows;
  await w.stopServer('SIGKILL');
  // Somebody who stole the account's password and sits beside the server.
  await w.pg.sql(`ALTER ROLE ${role} PASSWORD 'stolen-of-a-test'`);
  const [{ valid }] = await w.pg.sql(`SELECT rolvaliduntil AS valid FROM pg_roles WHERE rolname = '${role}'`);
  await until(() => Date.now() > valid.getTime() + 1000, 'the end');
  const thief = new pg.Client({ host: '127.0.0.1', port: w.pg.port, user: role, password: 'stolen-of-a-test', database: 'orders' });
  await assert.rejects(thief.connect(), (e) => e.code === '28P01');
  await w.startServer();
  await gone();
});

test('a target that is down refuses new access and never loses a revocation', { timeout: 60000 }, async () => {
  const client = await w.connect(await w.creds('dana'));
  const [grant] = await grants();
  await w.pg.stop();
  await until(() => client.lastError, 'the client to be told');
  const refused = await w.connect(await w.creds('dana', '--role', 'writer')).then(() => null, (e) => e);
  assert.equal(refused?.code, '57P03', String(refused));
  const ended = await w.cli('dana', ['grants', 'end', grant.id]);
  assert.equal(ended.code, 0);
  assert.match(ended.err, /still being removed/);
  assert.match(await (await fetch(`${w.url}/metrics`)).text(), /daypass_grants_revoking [1-9]/);
  w.pg.launch();
  await w.pg.ready();
  await until(async () => (await grants('--closed')).every((g) => g.state === 'closed'), 'every grant to be closed', 90000);
  await gone();
});

test('a freeze cuts everybody and gives nothing, over a restart, until it is thawed', { timeout: 60000 }, async () => {
  const creds = await w.creds('dana');
  const clients = await Promise.all(Array.from({ length: 3 }, () => w.connect(creds)));
  clients[0].query('SELECT pg_sleep(300)').catch((e) => { clients[0].lastError = e; });
  const frozen = await w.cli('operator', ['freeze', '--reason', 'incident 42']);
  assert.equal(frozen.code, 0, frozen.err);
  assert.equal(frozen.out, 'every tenant is frozen: incident 42\n');
  assert.match(frozen.err, /^1 grants ended/);
  await until(() => clients.every((c) => c.lastError), 'every client to be cut');
  for (const c of clients) assert.match(String(c.lastError.message), /ended by operator, who froze all access: incident 42/);
  await gone();
  const refused = async () => {
    const at_gate = await w.connect(creds).then(() => null, (e) => e);
    assert.match(String(at_gate?.message), /access is frozen since .*: incident 42/);
    const no = await w.cli('dana', ['creds', 'pg/orders']);
    assert.equal(no.code, 3);
    assert.match(no.err, /incident 42[\s\S]*the operator thaws it/);
    assert.match((await w.cli('dana', ['status'])).out, /access is frozen: incident 42/);
  };
  await refused();
  await w.stopServer('SIGKILL');
  await w.startServer();
  await refused();
  assert.match(await (await fetch(`${w.url}/metrics`)).text(), /^daypass_frozen 1$/m);
  assert.equal((await w.cli('dana', ['freeze', '--reason', 'x'])).code, 3, 'who is no administrator freezes nothing');
  assert.equal((await w.cli('dana', ['thaw'])).code, 3);
  assert.equal((await w.cli('operator', ['freeze', '--reason', ''])).code, 1);
  assert.equal((await w.cli('operator', ['--tenant', 'nobody', 'freeze', '--reason', 'x'])).code, 6);
  const thawed = await w.cli('operator', ['thaw']);
  assert.equal(thawed.code, 0, thawed.err);
  const client = await w.connect(creds);
  assert.equal((await client.query('SELECT 1 AS n')).rows[0].n, 1);
  await client.end();
  await endAll();
  const log = (await w.cli('operator', ['audit', 'export'])).out;
  for (const action of ['access.frozen', 'access.thawed']) assert.ok(log.includes(action), action);
});

test('what the alert rules ask for is there to be asked', async () => {
  const rules = fs.readFileSync(new URL('../../packaging/prometheus/daypass.rules.yml', import.meta.url), 'utf8');
  const names = new Set(rules.match(/\bdaypass_[a-z_]+/g));
  assert.ok(names.size >= 4);
  const metrics = await (await fetch(`${w.url}/metrics`)).text();
  for (const name of names) assert.match(metrics, new RegExp(`^${name} `, 'm'));
});

test('logging out ends every grant of the login', async () => {
  const client = await w.connect(await w.creds('dana'));
  const creds = await w.creds('dana');
  assert.equal((await w.cli('dana', ['logout'])).code, 0);
  await until(() => client.lastError, 'the cut');
  await assert.rejects(w.connect(creds), (e) => e.code === '28P01');
  await gone();
});

test('bad input gets a clear error', { timeout: 60000 }, async (t) => {
  const check = (text) => { const f = w.write('bad.toml', text); return w.cli('operator', ['server', 'config', 'check', '--config', f]); };
  await t.test('an unknown key: file, line, hint', async () => {
    const done = await check('[server]\ndata_dir = "/x"\npublic_url = "http://127.0.0.1:1"\nthraeds = 2\n');
    assert.equal(done.code, 2);
    assert.match(done.err, /bad\.toml:4.*thraeds.*did you mean "threads"/);
  });
  await t.test('malformed TOML', async () => { assert.match((await check('[server\n')).err, /bad\.toml:1/); });
  await t.test('tokens never cross a network in clear', async () => { assert.equal((await check('[server]\ndata_dir = "/x"\npublic_url = "https://x.example"\n[api]\nlisten = "0.0.0.0:80"\n')).code, 2); });
  const tenant = async (change) => {
    const folder = `${w.folder}/broken`;
    fs.rmSync(folder, { recursive: true, force: true });
    fs.cpSync(w.tenant, folder, { recursive: true });
    for (const [name, fn] of Object.entries(change)) fs.writeFileSync(`${folder}/${name}`, fn(fs.readFileSync(`${folder}/${name}`, 'utf8')));
    return w.cli('operator', ['apply', folder, '--yes']);
  };
  await t.test('malformed Cedar: place and caret', async () => {
    const done = await tenant({ 'policies/main.cedar': (s) => s.replace('principal in', 'principal inn') });
    assert.equal(done.code, 2);
    assert.match(done.err, /main\.cedar:2/);
    assert.match(done.err, /Nothing was changed/);
  });
  await t.test('an unknown annotation, a role that is not there, a group of no provider', async () => {
    const done = await tenant({ 'policies/main.cedar': (s) => s.replace('@idle', '@idel').replace('pg/orders/writer', 'pg/orders/wrtier').replace('demo/data', 'data') });
    assert.equal(done.code, 2);
    for (const said of [/@idel.*did you mean @idle/, /wrtier.*did you mean/, /names no identity provider/]) assert.match(done.err, said);
  });
  await t.test('a group role that may not be given', async () => {
    await w.pg.sql('ALTER ROLE orders_writer CREATEDB');
    const done = await tenant({ 'tenant.toml': (s) => `${s}\n[role.attributes]\nteam = "x"\n` });
    await w.pg.sql('ALTER ROLE orders_writer NOCREATEDB');
    assert.equal(done.code, 2);
    assert.match(done.err, /orders_writer/);
  });
  await t.test('a port in use, and a second server on one store', async () => {
    const run = (config) => new Promise((resolve) => { const c = spawn(daypass, ['server', 'run', '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] }); let err = ''; c.stderr.on('data', (d) => { err += d; }); c.on('close', (code) => resolve({ code, err })); });
    const same = await run(w.config);
    assert.equal(same.code, 1);
    assert.match(same.err, /store\.in_use/);
    const other = w.write('other.toml', fs.readFileSync(w.config, 'utf8').replace(w.data, `${w.folder}/other`));
    const port = await run(other);
    assert.equal(port.code, 1);
    assert.match(port.err, /net\.address_in_use/);
  });
  await t.test('no server: exit 7, and which address was tried', async () => {
    const done = await w.cli('nobody', ['login', '--no-browser', '--server', 'http://127.0.0.1:1']);
    assert.equal(done.code, 7);
    assert.match(done.err, /127\.0\.0\.1:1 \(from --server\)/);
  });
  await t.test('an unknown target and role', async () => {
    await w.login('dana');
    assert.equal((await w.cli('dana', ['connect', 'pg/nothing'])).code, 6);
    assert.equal((await w.cli('dana', ['connect', 'pg/orders', '--role', 'nothing'])).code, 3);
    assert.equal((await w.cli('dana', ['frobnicate'])).code, 2);
  });
});

test('the API: OpenAPI 3.1 is served, every operation is guarded, other tenants are not there', async () => {
  const doc = await (await fetch(`${w.url}/api/v1/openapi.json`)).json();
  assert.equal(doc.openapi, '3.1.0');
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const url = (tenant) => w.url + path.replace('{tenant}', tenant).replace('{kind}', 'pg').replace('{name}', 'orders').replace(/\{[a-z]+\}/g, 'x');
      const init = { method: method.toUpperCase(), redirect: 'manual', ...(operation.requestBody && { headers: { 'content-type': Object.keys(operation.requestBody.content)[0] }, body: Object.keys(operation.requestBody.content)[0].endsWith('json') ? '{}' : 'a=b' }) };
      const mine = await fetch(url('default'), init);
      if (operation.security) assert.equal(mine.status, 401, `${method} ${path}`);
      else assert.ok(mine.status < 500, `${method} ${path}: ${mine.status}`);
      if (!operation.security && method === 'get' && path.startsWith('/t/')) assert.equal((await fetch(url('default'), { method: 'HEAD', redirect: 'manual' })).status, 405, `HEAD ${path}`);
      // Who has a token of another kind gets the answer of those who have none.
      const asked = path.includes('/scim/') ? 401 : 404;
      if (path.includes('{tenant}')) assert.equal((await fetch(url('other'), init)).status, asked, `${method} ${path}`);
    }
  }
  assert.equal((await fetch(`${w.url}/livez`)).status, 200);
  assert.match(await (await fetch(`${w.url}/metrics`)).text(), /daypass_build_info\{version=/);
});

test('at the end the audit log verifies, offline too, and a flipped byte is found', async () => {
  const verified = await w.cli('operator', ['audit', 'verify', '-o', 'json']);
  assert.equal(verified.code, 0, verified.err);
  const { root } = JSON.parse(verified.out);
  const log = (await w.cli('operator', ['audit', 'export'])).out;
  assert.equal((await w.cli('operator', ['audit', 'verify', '--file', w.write('log', log), '--root', root])).code, 0);
  for (const bad of [log.replace('grant.closed', 'grant.clased'), log.split('\n').slice(1).join('\n'), log.split('\n').slice(0, -2).join('\n') + '\n'])
    assert.equal((await w.cli('operator', ['audit', 'verify', '--file', w.write('log', bad), '--root', root])).code, 1);
});
