// The command line with real parts: `setup psql` with the real psql, and `doctor` against a real server.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { World, daypass, until } from './harness.mjs';

let w;
before(async () => { w = await World.start(); });
after(async () => { await w.stop(); });

/** The person's own psql, that knows nothing of Daypass. */
function psql(person, args, extra = {}) {
  const child = spawn('psql', ['-X', '-w', '-At', ...args], { env: { ...w.env(person), DAYPASS_SERVER: '', ...extra }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out: out.trim(), err })));
}
const home = (person) => w.env(person).HOME;
const mode = (file) => fs.statSync(file).mode & 0o777;

test('setup psql: plain psql has access while the login lives, and is told what to do when it does not', async () => {
  assert.equal((await w.login('dana')).code, 0);
  const service = path.join(home('dana'), '.pg_service.conf');
  const before = '# mine\n[elsewhere]\nhost=db.example';
  fs.writeFileSync(service, before, { mode: 0o640 });
  fs.chmodSync(service, 0o640);

  const setup = await w.cli('dana', ['setup', 'psql', '-o', 'json']);
  assert.equal(setup.code, 0, setup.err);
  const done = JSON.parse(setup.out);
  assert.deepEqual(done.services.map((s) => s.service), ['pg/orders', 'pg/orders/reader', 'pg/orders/writer']);
  assert.ok(fs.readFileSync(service, 'utf8').startsWith(before));
  assert.equal(mode(service), 0o640, 'the user chose it');
  assert.equal(mode(done.passfile), 0o600);
  assert.equal((await w.cli('dana', ['grants', 'ls', '-o', 'name'])).out, '', 'a credential alone opens nothing');

  const read = await psql('dana', ['service=pg/orders', '-c', 'SELECT count(*) > 0 FROM orders']);
  assert.equal(read.code, 0, read.err);
  assert.equal(read.out, 't');
  const ssl = await psql('dana', ['service=pg/orders', '-c', '\\conninfo']);
  assert.match(ssl.out, /SSL connection/);
  // Elevated roles only where they are named.
  const noWrite = await psql('dana', ['service=pg/orders', '-c', "UPDATE orders SET id = id"]);
  assert.notEqual(noWrite.code, 0);
  assert.match(noWrite.err, /permission denied/);
  const write = await psql('dana', ['service=pg/orders/writer', '-c', 'UPDATE orders SET id = id']);
  assert.equal(write.code, 0, write.err);
  const byEnvironment = await psql('dana', ['-c', 'SELECT 1'], { PGSERVICE: 'pg/orders/reader' });
  assert.equal(byEnvironment.out, '1', byEnvironment.err);

  const files = () => [service, done.passfile].map((f) => fs.readFileSync(f, 'utf8'));
  const first = files();
  assert.equal((await w.cli('dana', ['setup', 'psql'])).code, 0);
  assert.deepEqual(files(), first, 'a second run changes nothing');

  const out = await w.cli('dana', ['logout']);
  assert.equal(out.code, 0, out.err);
  const refused = await psql('dana', ['service=pg/orders', '-v', 'VERBOSITY=verbose', '-c', 'SELECT 1']);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /password authentication failed.*the login it belongs to has ended/);
  assert.match(refused.err, /daypass login/);

  const again = await w.login('dana');
  assert.match(again.err, /Renewed: 3 services for psql/);
  assert.notDeepEqual(files(), first);
  const back = await psql('dana', ['service=pg/orders', '-c', 'SELECT 7']);
  assert.equal(back.out, '7', back.err);

  const undo = await w.cli('dana', ['setup', 'psql', '--undo']);
  assert.equal(undo.code, 0, undo.err);
  assert.equal(fs.readFileSync(service, 'utf8'), before);
  assert.equal(mode(service), 0o640);
  assert.equal(fs.existsSync(done.passfile), false);
  const unknown = await psql('dana', ['service=pg/orders', '-c', 'SELECT 1']);
  assert.match(unknown.err, /definition of service "pg\/orders" not found/);
});

test('setup psql: the refusal is 28P01', async () => {
  assert.equal((await w.login('dana')).code, 0);
  const creds = await w.creds('dana');
  await w.cli('dana', ['logout']);
  await assert.rejects(w.connect(creds), (e) => e.code === '28P01' && /daypass login/.test(e.hint));
});

test('connect: exit codes of the child, of a refusal, of an unknown target; Ctrl-C cancels the query and not psql', async () => {
  assert.equal((await w.login('dana')).code, 0);
  const run = (...args) => w.cli('dana', ['connect', 'pg/orders', ...args]);
  assert.equal((await run('--', '-X', '-c', 'SELECT 1')).code, 0);
  assert.equal((await run('--', '-X', '-c', 'SELECT nothing')).code, 1, "psql's own");
  const unknown = await w.cli('dana', ['connect', 'pg/ordres']);
  assert.equal(unknown.code, 6, unknown.err);
  const denied = await w.cli('dana', ['connect', 'pg/orders', '--role', 'owner']);
  assert.ok([3, 6].includes(denied.code), denied.err);
  assert.equal(denied.err.trim().split('\n').length, 4, denied.err);

  // A terminal sends SIGINT to the whole group; so do we.
  const child = spawn(daypass, ['connect', 'pg/orders', '--', '-X', '-v', 'ON_ERROR_STOP=0', '-c', 'SELECT pg_sleep(60)', '-c', "SELECT 'still ' || 'here'"], { env: w.env('dana'), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  const ended = new Promise((resolve) => child.on('close', resolve));
  await until(async () => (await w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'")).length === 1, 'the query');
  process.kill(-child.pid, 'SIGINT');
  await ended;
  assert.match(err, /canceling statement/, err);
  await until(async () => JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out).grants.every((g) => g.connections === 0), 'no connection is left');
});

test('doctor: green for who administers, red for what is broken, each with its fix', async () => {
  assert.equal((await w.login('ada')).code, 0);
  const good = await w.cli('ada', ['doctor', '-o', 'json']);
  const find = (node, name) => (node.checks ?? []).reduce((found, c) => found ?? (c.name === name ? c : find(c, name)), undefined);
  const report = JSON.parse(good.out);
  assert.equal(good.code, 0, good.out);
  assert.equal(report.ok, true);
  for (const name of ['psql', 'clock', 'login', 'version', 'ready', 'demo', 'audit log']) assert.equal(find(report, name)?.grade, 'pass', name);
  assert.notEqual(find(report, 'pg/orders').grade, 'fail');
  assert.equal((await w.cli('operator', ['doctor'])).code, 0, 'the operator needs no login');

  await w.pg.sql('ALTER ROLE daypass_admin NOCREATEROLE');
  try {
    const bad = await w.cli('ada', ['doctor', '-o', 'json']);
    assert.equal(bad.code, 1, bad.out);
    const target = find(JSON.parse(bad.out), 'pg/orders');
    assert.equal(target.grade, 'fail');
    assert.ok(target.checks.some((c) => c.grade === 'fail' && c.fix), bad.out);
    const text = await w.cli('ada', ['doctor']);
    assert.match(text.out, /fail {2}pg\/orders/);
    assert.match(text.out, /fix: \S/);
  } finally {
    await w.pg.sql('ALTER ROLE daypass_admin CREATEROLE');
  }
  assert.equal((await w.login('sam')).code, 0);
  const sam = await w.cli('sam', ['doctor', '-o', 'json']);
  assert.equal(sam.code, 0, sam.out);
  assert.equal(find(JSON.parse(sam.out), 'the rest').grade, 'skip');
});

test('Ctrl-C during login leaves nothing locked', async () => {
  const interrupted = await w.cli('dana', ['login', '--no-browser'], { onErr: (text, child) => { if (text.includes('Waiting for you')) child.kill('SIGINT'); } });
  assert.equal(interrupted.sig, 'SIGINT');
  assert.equal((await w.login('dana')).code, 0);
});

test('apply: a bad folder is told file by file, and nothing changes', async () => {
  const before = (await w.audit()).length;
  const folder = path.join(w.folder, 'bad');
  fs.cpSync(w.tenant, folder, { recursive: true });
  fs.appendFileSync(path.join(folder, 'tenant.toml'), '\n[[rolle]]\nname = "x"\n');
  fs.writeFileSync(path.join(folder, 'policies', 'bad.cedar'), 'permit(principal, action resource);\n');
  const done = await w.cli('operator', ['apply', folder, '--yes', '-o', 'json']);
  assert.equal(done.code, 2, done.err);
  const { problems } = JSON.parse(done.out);
  assert.ok(problems.some((p) => p.file.endsWith('tenant.toml') && p.line > 1), done.out);
  assert.equal((await w.audit()).length, before);
  const missing = await w.cli('operator', ['apply', path.join(w.folder, 'nowhere'), '--yes']);
  assert.notEqual(missing.code, 0);
});

test('policy: the schema, a slip refused with its caret, what a change would do, and what would turn a refusal', async () => {
  const schema = await w.cli('operator', ['policy', 'schema']);
  assert.equal(schema.code, 0, schema.err);
  assert.match(schema.out, /entity User in \[Group\]/);
  const folder = path.join(w.folder, 'next');
  const main = path.join(folder, 'policies', 'main.cedar');
  fs.cpSync(w.tenant, folder, { recursive: true });
  const same = await w.cli('operator', ['policy', 'simulate', folder]);
  assert.equal(same.code, 0, same.out + same.err);
  fs.appendFileSync(main, '\n@id("freeze") forbid(principal, action == Action::"assume", resource is Role);\n');
  const frozen = await w.cli('operator', ['policy', 'simulate', folder, '-o', 'json']);
  assert.equal(frozen.code, 1, frozen.out + frozen.err);
  const { newly_denied: denied, shifts } = JSON.parse(frozen.out);
  assert.ok(denied > 0 && shifts.every((s) => s.verdict === 'deny' && s.policies.join() === 'freeze'), frozen.out);
  fs.appendFileSync(main, '@id("slip") permit(principal, action == Action::"assume", resource is Role) when { context.mfaa };\n');
  const refused = await w.cli('operator', ['apply', folder, '--yes']);
  assert.equal(refused.code, 2, refused.out);
  assert.match(refused.err, /policies\/main\.cedar:\d+:\d+: policy slip: context has no attribute "mfaa"\n.*\n *\^+\n {2}hint: did you mean "mfa"\?/);
  assert.equal((await w.login('ada')).code, 0);
  assert.equal((await w.login('sam')).code, 0);
  const why = await w.cli('ada', ['policy', 'explain', 'demo/sam', 'pg/orders/reader', '-o', 'json']);
  assert.equal(why.code, 0, why.err);
  assert.deepEqual(JSON.parse(why.out).explanation.flip, { verdict: 'allow', changes: [{ fact: 'principal in Group::"demo/data"', now: 'false', would_be: 'true' }] });
  const own = await w.cli('sam', ['policy', 'explain', 'pg/orders/reader', '-o', 'json']);
  assert.equal(JSON.parse(own.out).explanation.flip, undefined);
});
