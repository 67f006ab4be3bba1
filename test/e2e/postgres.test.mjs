import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { spawn, spawnSync } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import pg from 'pg';
import copy from 'pg-copy-streams';
import { World, until } from './harness.mjs';

let w, creds;
before(async () => {
  w = await World.start();
  await w.login('dana');
  creds = await w.creds('dana');
});
after(async () => { await w.stop(); });

const env = (c) => ({ PATH: process.env.PATH, PGHOST: 'localhost', PGPORT: String(c.port), PGUSER: c.user, PGPASSWORD: c.password, PGDATABASE: c.database, PGSSLMODE: 'verify-full', PGSSLROOTCERT: w.write('gate-ca.pem', c.ca_pem), PGGSSENCMODE: 'disable', LC_ALL: 'C.UTF-8' });
const psql = (c, args, more = {}) => spawnSync('psql', ['-XAt', ...args], { env: { ...env(c), ...more }, encoding: 'utf8' });

test('psql: an ephemeral role, over verified TLS, with channel binding', async () => {
  for (const channel_binding of ['disable', 'prefer', 'require']) {
    const done = psql(creds, ['-c', 'SELECT current_user', '-c', 'SELECT count(*) FROM orders'], { PGCHANNELBINDING: channel_binding });
    assert.equal(done.status, 0, done.stderr);
    const [user, count] = done.stdout.trim().split('\n');
    assert.match(user, /^dp_[a-z0-9]{6}_[a-z2-7]{26}$/);
    assert.equal(count, '1000');
  }
});

test('the wrong password and the unknown user get one answer: 28P01 and what to do', async () => {
  const wrong = psql({ ...creds, password: 'wrong' }, ['-c', 'SELECT 1']);
  const unknown = psql({ ...creds, user: 'dp-nobodynobodynobo' }, ['-c', 'SELECT 1']);
  for (const [done, user] of [[wrong, creds.user], [unknown, 'dp-nobodynobodynobo']]) {
    assert.equal(done.status, 2);
    assert.ok(done.stderr.includes(`password authentication failed for user "${user}"`), done.stderr);
    assert.match(done.stderr, /daypass login/);
  }
  const codes = [];
  for (const change of [{ password: 'wrong' }, { user: 'dp-nobodynobodynobo' }]) {
    const client = new pg.Client(w.options({ ...creds, ...change }));
    await client.connect().catch((e) => codes.push(e.code));
  }
  assert.deepEqual(codes, ['28P01', '28P01']);
});

test('another database than the credential\'s is refused by name', async () => {
  const done = psql({ ...creds, database: 'postgres' }, ['-c', 'SELECT 1']);
  assert.match(done.stderr, /credential is for database "orders"/);
});

test('replication is refused in every spelling', async () => {
  for (const value of ['true', 'on', 'yes', '1', 'database', 'TRUE', 'off']) {
    const client = new pg.Client(w.options(creds, { replication: value }));
    await assert.rejects(client.connect(), (e) => e.code !== undefined, value);
  }
  const done = psql(creds, ['-c', 'SELECT 1'], { PGOPTIONS: '-c replication=on' });
  assert.notEqual(done.status, 0);
});

test('pgbench: simple, extended, prepared, and a connection per transaction', { timeout: 120000 }, async () => {
  const script = w.write('select.sql', '\\set id random(1, 1000)\nSELECT total FROM orders WHERE id = :id;\n');
  for (const mode of [['-M', 'simple'], ['-M', 'extended'], ['-M', 'prepared'], ['-C']]) {
    const done = spawnSync('pgbench', ['-n', '-f', script, '-c', '4', '-t', mode[0] === '-C' ? '10' : '200', ...mode], { env: env(creds), encoding: 'utf8' });
    assert.equal(done.status, 0, `${mode}: ${done.stderr}`);
    assert.match(done.stdout, /number of failed transactions: 0/);
  }
});

test('node pg: parameters, prepared statements, errors, notices, notifications', async () => {
  const client = await w.connect(creds);
  const notices = [], notes = [];
  client.on('notice', (n) => notices.push(n.message));
  client.on('notification', (n) => notes.push(n.payload));
  assert.equal((await client.query('SELECT $1::int + 1 AS n', [41])).rows[0].n, 42);
  for (let i = 0; i < 3; i += 1) assert.equal((await client.query({ name: 'by-id', text: 'SELECT total FROM orders WHERE id = $1', values: [10] })).rows[0].total, 10);
  await assert.rejects(client.query('SELECT nope'), (e) => e.code === '42703');
  await client.query("DO $$ BEGIN RAISE NOTICE 'seen'; END $$");
  await client.query('LISTEN news');
  await client.query("NOTIFY news, 'here'");
  await until(() => notes.length, 'the notification');
  assert.deepEqual(notes, ['here']);
  assert.deepEqual(notices, ['seen']);
  assert.equal((await client.query('SELECT 1 AS a; SELECT 2 AS b')).length, 2);
  await client.end();
});

test('64 MB by COPY, in and out', { timeout: 120000 }, async () => {
  const writer = await w.creds('dana', '--role', 'writer');
  const client = await w.connect(writer);
  const row = Buffer.from(`${'x'.repeat(1023)}\n`);
  const rows = 64 * 1024;
  await pipeline(Readable.from((function* () { const block = Buffer.concat(Array(64).fill(row)); for (let i = 0; i < rows / 64; i += 1) yield block; })()), client.query(copy.from('COPY bulk FROM STDIN')));
  let bytes = 0;
  await pipeline(client.query(copy.to('COPY bulk TO STDOUT')), new Writable({ write(chunk, _, done) { bytes += chunk.length; done(); } }));
  assert.equal(bytes, rows * 1024);
  assert.equal((await client.query('SELECT count(*)::int AS n FROM bulk')).rows[0].n, rows);
  await client.query('TRUNCATE bulk');
  await client.end();
});

test('cancel: the key is the gateway\'s, works for its own session, and for no other', async () => {
  const client = await w.connect(creds);
  const other = await w.connect(creds);
  const cancel = (pid, key) => new Promise((resolve) => {
    const socket = net.connect(creds.port, '127.0.0.1', () => {
      const b = Buffer.alloc(16);
      b.writeInt32BE(16, 0); b.writeInt32BE(80877102, 4); b.writeInt32BE(pid, 8); b.writeInt32BE(key, 12);
      socket.end(b);
    });
    socket.on('close', resolve);
    socket.on('error', resolve);
    socket.resume();
  });
  const [{ pid }] = (await client.query('SELECT pg_backend_pid() AS pid')).rows;
  assert.notEqual(client.processID, pid, 'the server\'s own process number stays inside');
  const running = client.query('SELECT pg_sleep(60)').then(() => null, (e) => e);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND state = 'active' AND query LIKE '%pg_sleep%'`)).length, 'the query');
  await cancel(client.processID, other.secretKey);
  await cancel(pid, client.secretKey);
  assert.equal((await w.pg.sql(`SELECT state FROM pg_stat_activity WHERE pid = ${pid}`))[0].state, 'active', 'wrong keys cancel nothing');
  await cancel(client.processID, client.secretKey);
  assert.equal((await running)?.code, '57014');
  assert.equal((await client.query('SELECT 1 AS n')).rows[0].n, 1);
  await client.end();
  await other.end();
});

test('200 connections at once, under one grant', { timeout: 120000 }, async () => {
  const clients = await Promise.all(Array.from({ length: 200 }, () => w.connect(creds)));
  const answers = await Promise.all(clients.map((c, i) => c.query('SELECT $1::int AS n, current_user AS u', [i])));
  assert.deepEqual(answers.map((a) => a.rows[0].n), clients.map((_, i) => i));
  assert.equal(new Set(answers.map((a) => a.rows[0].u)).size, 1);
  await Promise.all(clients.map((c) => c.end()));
});

test('the number of connections is what policy says, exactly', async () => {
  const writer = await w.creds('dana', '--role', 'writer');
  const clients = await Promise.all(Array.from({ length: 20 }, () => w.connect(writer)));
  await assert.rejects(w.connect(writer), (e) => e.code === '53300' && /@connections/.test(e.hint ?? ''));
  await clients.pop().end();
  const again = await until(() => w.connect(writer).catch(() => null), 'a place');
  await Promise.all([...clients, again].map((c) => c.end()));
});

test('garbage, a 1 GB length, stuffed TLS, a silent client: each is refused, and the gate goes on', async () => {
  const send = (bytes) => new Promise((resolve) => {
    const socket = net.connect(creds.port, '127.0.0.1', () => socket.write(bytes));
    let got = Buffer.alloc(0);
    socket.on('data', (d) => { got = Buffer.concat([got, d]); });
    socket.on('close', () => resolve(got));
    socket.on('error', () => resolve(got));
  });
  const int = (...n) => { const b = Buffer.alloc(4 * n.length); n.forEach((v, i) => b.writeInt32BE(v | 0, 4 * i)); return b; };
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), int(0x40000000, 196608), int(8, 12345), int(4, 0), Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37) & 255)),
    Buffer.concat([int(8, 80877103), Buffer.from('stuffed')]), Buffer.concat([int(9, 196608), Buffer.from([0])])]) await send(bytes);
  const client = await w.connect(creds);
  // In the middle of the protocol: a message that claims 1 GB and never comes is no allocation, and an unknown type is an error.
  client.connection.stream.write(Buffer.concat([Buffer.from('!'), int(0x3fffffff)]));
  await until(() => client.lastError, 'the end of the session');
  assert.equal(psql(creds, ['-c', 'SELECT 1']).status, 0);
});

test('statements become activity records; passwords in them do not', async () => {
  const client = await w.connect(creds);
  await client.query("SELECT 'marker-of-a-test'");
  await client.query({ text: 'SELECT $1::text', values: ['bind-value-of-a-test'] });
  await client.query("ALTER ROLE nobody PASSWORD 'secret-of-a-test'").catch(() => {});
  await client.end();
  const fs = await import('node:fs');
  const all = () => fs.readdirSync(`${w.data}/activity`, { recursive: true }).filter((f) => f.endsWith('.jsonl')).map((f) => fs.readFileSync(`${w.data}/activity/${f}`, 'utf8')).join('');
  const text = await until(() => (all().includes('ALTER ROLE') ? all() : null), 'the records');
  assert.match(text, /marker-of-a-test/);
  assert.doesNotMatch(text, /secret-of-a-test|bind-value-of-a-test/);
  assert.ok((await w.audit()).some((r) => r.action === 'connection.activity' && /^[0-9a-f]{64}$/.test(r.facts.sha256)));
});

test('a hostile client gets nowhere', { timeout: 60000 }, async () => {
  const client = await w.connect(creds);
  const [{ u: role }] = (await client.query('SELECT current_user AS u')).rows;
  for (const sql of ['SET ROLE postgres', 'SET ROLE daypass_admin', 'SET SESSION AUTHORIZATION postgres', 'SET SESSION AUTHORIZATION orders_writer', "SELECT set_config('role', 'orders_writer', false)", 'DELETE FROM orders', 'CREATE TABLE mine (a int)',
    'GRANT orders_reader TO public', 'GRANT orders_reader TO postgres', 'CREATE ROLE evil', 'CREATE DATABASE evil', "COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')", "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/x')", 'CREATE EXTENSION dblink',
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = \'postgres\'', 'ALTER ROLE CURRENT_USER VALID UNTIL \'infinity\'', 'ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000', 'ALTER ROLE CURRENT_USER CREATEROLE', "BEGIN; SELECT 1; PREPARE TRANSACTION 'stay'",
    "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p", 'CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION now()', 'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS \'SELECT 1\'', 'ALTER SYSTEM SET log_statement = \'none\'', 'CREATE SCHEMA evil']) {
    const outcome = await client.query(sql).then(() => 'done', (e) => e.code);
    assert.notEqual(outcome, 'done', sql);
  }
  // The ways back to whoever logged in: the server lets these run, and they must lead nowhere.
  for (const sql of ['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'DISCARD ALL', "SELECT set_config('role', 'none', false)", "DO $$ BEGIN PERFORM set_config('role', 'orders_writer', false); END $$", "DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION postgres'; END $$"]) {
    await client.query(sql).catch(() => {});
    assert.deepEqual((await client.query('SELECT current_user AS c, session_user AS s')).rows, [{ c: role, s: role }], sql);
    await assert.rejects(client.query('DELETE FROM orders'), { code: '42501' }, sql);
  }
  // What PostgreSQL lets a role do to itself must not matter to its end.
  await client.query("ALTER ROLE CURRENT_USER SET statement_timeout = '1ms'").catch(() => {});
  await client.query(`COMMENT ON ROLE ${role} IS 'not yours'`).catch(() => {});
  await client.query("ALTER ROLE CURRENT_USER PASSWORD 'my-own-of-a-test'").catch(() => {});
  await client.query('CREATE TEMP TABLE t AS SELECT 1').catch(() => {});
  const grant = JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out).grants.find((g) => g.account === role);
  const ended = await w.cli('dana', ['grants', 'end', grant.id]);
  assert.equal(ended.code, 0, ended.err);
  await until(() => client.lastError, 'the cut');
  await until(async () => !(await w.pg.roles()).includes(role), 'the role to be gone');
});
