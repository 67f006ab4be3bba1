// The store's disk runs full, and its files vanish: nothing new is given, everything still ends, and both are said within seconds.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { World, daypass, until } from './harness.mjs';

// A small file system of the server's own, in a mount namespace of its own: what is full there is full for nobody else.
const permitted = process.getuid() === 0 && spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0;
const skip = permitted ? false : 'mounting a tmpfs is not permitted here';

let w, inside;
before(async () => {
  if (skip) return;
  w = await World.start({
    prepare: (self) => {
      fs.mkdirSync(self.data, { mode: 0o700 });
      fs.appendFileSync(self.config, '\n[store]\nreserve_mib = 4\nmin_free_mib = 3\n');
      self.launch = () => {
        const child = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', 'mount -t tmpfs -o size=24m,mode=0700 tmpfs "$1" && exec "$2" server run --config "$3"', 'sh', self.data, daypass, self.config], { stdio: ['ignore', 'ignore', 'pipe'] });
        inside = `/proc/${child.pid}/root${self.data}`;
        self.socket = `${inside}/daypass.sock`;
        return child;
      };
    },
  });
  await w.login('dana');
  await w.login('sam');
});
after(async () => { await w?.stop(); });

const metric = async (name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await (await fetch(`${w.url}/metrics`)).text())[1]);
const ready = async () => { const r = await fetch(`${w.url}/readyz?verbose=1`); return { status: r.status, ...(await r.json()) }; };
/** All but `left` bytes of the disk. */
const fill = (left) => {
  const { bavail, bsize } = fs.statfsSync(inside);
  spawnSync('fallocate', ['-l', String(bavail * bsize - left), path.join(inside, `hog-${left}`)]);
};
const tidy = () => { for (const f of fs.readdirSync(inside)) if (f.startsWith('hog')) fs.rmSync(path.join(inside, f)); };
const grants = async (who) => JSON.parse((await w.cli(who, ['grants', 'ls', '-o', 'json'])).out).grants;
let client, asked;

test('with too little left nothing new is given, and what there is goes on', { skip, timeout: 60000 }, async () => {
  client = await w.connect(await w.creds('dana'));
  assert.equal((await ready()).status, 200);
  assert.equal(await metric('daypass_store_reserved_bytes'), 4 << 20);
  asked = Date.now();
  fill(1 << 20);
  await until(async () => (await ready()).status === 503, 'the server to notice', 1000);
  const said = await ready();
  assert.equal(said.space, false);
  assert.match(said.why, /nearly full: \d MiB are left, 3 are wanted; no new access is given/);
  for (const args of [['creds', 'pg/orders', '--role', 'writer'], ['grants', 'extend', (await grants('dana'))[0].id, '--for', '20m']]) {
    const refused = await w.cli('dana', args);
    assert.equal(refused.code, 7, `${args}: ${refused.err}`);
    assert.match(refused.err, /access\.no_room/);
    assert.match(refused.err, /frees space/);
  }
  assert.equal((await w.cli('operator', ['secrets', 'set', 'x', '--file', w.config])).code, 7);
  assert.notEqual((await w.login('ada')).code, 0, 'nobody signs in either');
  assert.equal(await metric('daypass_store_low'), 1);
  assert.match((await w.cli('operator', ['doctor'])).out, /fail {2}room for the store: \d MiB are left, 4 MiB are kept/);
  assert.equal((await client.query('SELECT 1 AS n')).rows[0].n, 1);
});

test('on a full disk access still ends, written down in the room that was kept', { skip, timeout: 90000 }, async () => {
  fill(0);
  const [grant] = await grants('dana');
  // The record that finds the disk full frees the room for the next.
  await until(async () => { await w.cli('operator', ['sessions', 'revalidate', 'ls_none']); return (await w.cli('operator', ['freeze', '--reason', 'full'])).code === 0; }, 'a record');
  await until(() => client.lastError, 'the cut');
  await until(async () => (await w.pg.roles()).length === 0, 'the account to be gone');
  await until(async () => (await w.audit()).some((r) => r.action === 'grant.closed' && r.object === grant.id), 'the proof in the log');
  for (let i = 0; i < 40; i += 1) assert.equal((await w.cli('operator', i % 2 ? ['freeze', '--reason', 'x'.repeat(200)] : ['thaw'])).code, 0, `${i}`);
  assert.equal(await metric('daypass_store_reserved_bytes'), 0);
  assert.equal(fs.existsSync(path.join(inside, 'daypass.db.reserve')), false);
  assert.equal((await w.cli('operator', ['thaw'])).code, 0);
  const refused = await w.cli('dana', ['creds', 'pg/orders']);
  assert.equal(refused.code, 7, refused.err);
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0);
});

test('with room again all is as before', { skip, timeout: 60000 }, async () => {
  tidy();
  await until(async () => (await ready()).status === 200, 'the server to notice', 2000);
  assert.equal(await metric('daypass_store_reserved_bytes'), 4 << 20);
  client = await w.connect(await w.creds('dana'));
  assert.match(w.serverLog, /room for the store runs out/);
  assert.match(w.serverLog, /the room that was kept for the end of access is in use|room is kept for the end of access again|there is room for the store again/);
});

test('a log that is removed under the server is noticed, and its access still ends', { skip, timeout: 60000 }, async () => {
  fs.rmSync(path.join(inside, 'daypass.db-wal'));
  await until(async () => (await metric('daypass_store_lost')) === 1, 'the server to notice', 2000);
  const said = await ready();
  assert.equal(said.status, 503);
  assert.equal(said.store, false);
  assert.match(said.why, /its write-ahead log was removed or replaced/);
  assert.match(w.serverLog, /the store is lost/);
  const refused = await w.cli('dana', ['creds', 'pg/orders']);
  assert.equal(refused.code, 7, refused.err);
  assert.match(refused.err, /store\.lost|access\.store_lost/);
  const frozen = await w.cli('operator', ['freeze', '--reason', 'the store is gone']);
  assert.match(frozen.err, /freeze\.unrecorded/);
  await until(() => client.lastError, 'the cut');
  await until(async () => (await w.pg.roles()).length === 0, 'the account to be gone');
});
