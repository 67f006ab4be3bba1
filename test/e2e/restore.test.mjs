// A backup in the store's place: noticed, shown, and nothing given or taken away before the operator says so.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { World, until } from './harness.mjs';

let w, kept;
before(async () => { w = await World.start(); await w.login('dana'); await w.login('sam'); });
after(async () => { await w.stop(); });

const store = () => fs.readdirSync(w.data).filter((f) => f.startsWith('daypass.db'));
const grants = async (who = 'dana', ...args) => JSON.parse((await w.cli(who, ['grants', 'ls', '-o', 'json', ...args])).out).grants;
const shown = async (...args) => { const done = await w.cli('operator', ['admin', 'restore', '-o', 'json', ...args]); return { code: done.code, err: done.err, ...JSON.parse(done.out) }; };
const witness = () => path.join(w.data, 'witness.json');
const records = () => (fs.existsSync(witness()) ? JSON.parse(fs.readFileSync(witness(), 'utf8')).logs.find((l) => l.tenant === 'default')?.records ?? 0 : 0);
const inLog = async () => JSON.parse((await w.cli('operator', ['audit', 'verify', '-o', 'json'])).out).records;
const witnessed = async () => { const n = await inLog(); await until(() => records() >= n, 'the witness to have seen the log'); };

test('before: a grant that will end, a login that will end', { timeout: 60000 }, async () => {
  const client = await w.connect(await w.creds('dana'));
  await client.end();
  await witnessed();
  await w.stopServer();
  kept = path.join(w.folder, 'backup');
  fs.mkdirSync(kept);
  for (const f of store()) fs.copyFileSync(path.join(w.data, f), path.join(kept, f));
  await w.startServer();
  assert.equal((await shown()).quarantined, false);
  const [grant] = await grants();
  assert.equal((await w.cli('dana', ['grants', 'end', grant.id])).code, 0);
  await until(async () => (await w.pg.roles()).length === 0, 'the first account to be gone');
  const writer = await w.connect(await w.creds('dana', '--role', 'writer'));
  assert.equal((await w.pg.roles()).length, 1);
  assert.equal((await w.cli('sam', ['logout'])).code, 0);
  await witnessed();
  await w.stopServer('SIGKILL');
  await until(() => writer.lastError, 'the gate to be gone');
});

test('the backup is noticed, and nothing is given or taken away', { timeout: 60000 }, async () => {
  for (const f of store()) fs.rmSync(path.join(w.data, f));
  for (const f of fs.readdirSync(kept)) fs.copyFileSync(path.join(kept, f), path.join(w.data, f));
  await w.startServer({ answers: 'livez' });
  assert.equal((await fetch(`${w.url}/readyz`)).status, 503);
  const seen = await until(async () => { const s = await shown(); return s.targets?.length === 1 && s; }, 'the target to be looked at');
  assert.equal(seen.code, 5);
  assert.match(seen.why, /the log of tenant default has \d+ records, and had \d+/);
  assert.equal(seen.logs[0].tenant, 'default');
  assert.ok(seen.logs[0].seen > seen.logs[0].records);
  assert.deepEqual(seen.targets[0].differences.map((d) => d.kind).sort(), ['account_gone', 'unknown_account']);
  const [writer] = await w.pg.roles();
  assert.equal(seen.targets[0].differences.find((d) => d.kind === 'unknown_account').account, writer);
  const text = await w.cli('operator', ['admin', 'restore']);
  assert.match(text.out, /made since the backup/);
  assert.match(text.err, /daypass admin restore --confirm/);
  // Nobody gets in: neither who is signed in by the backup's word, nor anybody anew, nor the operator's settings.
  assert.notEqual((await w.cli('dana', ['creds', 'pg/orders'])).code, 0);
  assert.notEqual((await w.cli('sam', ['status'])).code, 0);
  assert.match((await w.cli('operator', ['apply', w.tenant, '--yes'])).err, /restored from a backup/);
  assert.match((await w.cli('operator', ['freeze', '--reason', 'x'])).err, /restored from a backup/);
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0, 'the log can be read');
  assert.deepEqual(await w.pg.roles(), [writer]);
});

test('it stays so over a restart, and until the operator confirms it', { timeout: 60000 }, async () => {
  const { since } = await shown();
  await w.stopServer();
  await w.startServer({ answers: 'livez' });
  const still = await shown();
  assert.equal(still.quarantined, true);
  assert.equal(still.since, since);
  assert.notEqual((await w.cli('dana', ['admin', 'restore', '--confirm'])).code, 0, 'only over the socket');
  const done = await shown('--confirm');
  assert.equal(done.code, 0, done.err);
  assert.equal(done.logins_ended, 2);
  assert.equal((await fetch(`${w.url}/readyz`)).status, 200);
  assert.equal((await shown()).quarantined, false);
  for (const person of ['dana', 'sam']) assert.equal((await w.cli(person, ['status'])).code, 4, `${person} signs in again`);
  assert.equal((await w.pg.roles()).length, 1, 'what was made since the backup lasts until its own end');
  await w.login('dana');
  await until(async () => (await grants('operator', '--all', '--closed')).every((g) => g.state === 'closed'), 'the grants of the backup to be closed');
  const client = await w.connect(await w.creds('dana'));
  await client.end();
  assert.ok((await w.audit()).some((r) => r.action === 'store.restored'));
});

test('it can be said at the start, and a witness that can\'t be read stops the start', { timeout: 60000 }, async () => {
  await w.stopServer();
  await w.startServer({ args: ['--restored'], answers: 'livez' });
  assert.match((await shown()).why, /--restored/);
  assert.equal((await shown('--confirm')).code, 0);
  assert.equal((await w.cli('operator', ['admin', 'restore'])).out, 'The store is in use; no restore waits to be confirmed.\n');
  await w.stopServer();
  const file = witness(), text = fs.readFileSync(file);
  fs.writeFileSync(file, text.subarray(0, text.length / 2));
  await assert.rejects(w.startServer(), /witness\.json can't be read/);
  fs.writeFileSync(file, text);
  await w.startServer();
});
