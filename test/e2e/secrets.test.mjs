// Where secrets must not be seen: passwords and tokens of a whole run are looked for, byte by byte, in everything that outlives
// it or that others can read.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { CertifiedOp, World, daypass, until } from './harness.mjs';

/** Keeps the tokens that it gives and the codes and verifiers that it takes. */
class Attentive extends CertifiedOp {
  seen = {};
  adjust(settings) {
    const keep = (name, value) => { if (value) (this.seen[name] ??= []).push(value); };
    this.guard = async (req, res) => {
      if (!req.url.startsWith('/token')) return;
      const wrote = res.end.bind(res);
      res.end = (body, ...rest) => {
        for (const [name, value] of Object.entries(JSON.parse(String(body)))) if (/token$/.test(name)) keep(name, value);
        return wrote(body, ...rest);
      };
      // Seen on its way to who reads it: a listener would take it from them.
      const emit = req.emit.bind(req);
      req.emit = (event, ...rest) => {
        if (event === 'data') for (const [name, value] of new URLSearchParams(String(rest[0]))) if (['code', 'code_verifier'].includes(name)) keep(name, value);
        return emit(event, ...rest);
      };
    };
    return settings;
  }
}

let w;
const canaries = {};
before(async () => { w = await World.start({ op: Attentive }); });
after(async () => { await w.stop(); });

/** Every regular file below. */
function* filesOf(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) yield path.join(entry.parentPath, entry.name);
}

function lookIn(what, bytes) {
  for (const [name, values] of Object.entries(canaries))
    for (const value of values) assert.ok(!bytes.includes(value), `${what} has ${name}`);
}

test('a run with every kind of secret', async () => {
  const done = await w.login('dana');
  assert.equal(done.code, 0, done.err);
  const creds = await w.creds('dana');
  canaries['the password of a credential'] = [creds.password];
  const c = await w.connect(creds);
  await c.query('SELECT count(*) FROM orders');
  await c.end();
  // Right name, wrong password: the refusal must not repeat it.
  canaries['a wrong password'] = ['wrong-password-of-a-test'];
  await assert.rejects(w.connect(creds, { password: 'wrong-password-of-a-test' }));
  const [login] = JSON.parse(fs.readFileSync(`${w.env('dana').XDG_STATE_HOME}/daypass/logins.json`, 'utf8')).logins;
  canaries['the token of a login'] = [login.token];
  canaries["the identity provider's client secret"] = [w.op.secret];
  canaries['the password of the administrative account'] = ['admin-of-a-test'];
  for (const [name, values] of Object.entries(w.op.seen)) canaries[`the provider's ${name}`] = values;
  assert.ok(['id_token', 'access_token', 'code', 'code_verifier'].every((name) => w.op.seen[name]?.length > 0), JSON.stringify(Object.keys(w.op.seen)));
  for (const path_ of ['/t/default/api/v1/grants', '/t/default/api/v1/session']) await fetch(w.url + path_, { headers: { authorization: `Bearer ${login.token}x` } });
});

test('a client has neither password nor token in its arguments or environment', async () => {
  const child = spawn(daypass, ['connect', 'pg/orders', '--', '-c', 'SELECT pg_sleep(600)'], { env: w.env('dana'), stdio: 'ignore', detached: true });
  try {
    const sleeping = () => w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'dp\\_%' AND query LIKE '%pg_sleep(600)%'");
    await until(async () => (await sleeping()).length > 0, 'psql');
    // Of the whole group: the command line may have become psql, or have it as a child.
    const group = fs.readdirSync('/proc').filter((name) => {
      try { return /^\d+$/.test(name) && fs.readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[2] === String(child.pid); } catch { return false; }
    });
    assert.ok(group.length > 0);
    const issued = fs.readFileSync(`${w.env('dana').XDG_STATE_HOME}/daypass/logins.json`, 'utf8');
    assert.ok(issued.includes(canaries['the token of a login'][0]));
    for (const pid of group) for (const what of ['cmdline', 'environ']) {
      const text = fs.readFileSync(`/proc/${pid}/${what}`);
      lookIn(`${what} of a client`, text);
      assert.ok(!/PGPASSWORD|dpt_|dpc_/.test(text.toString('latin1')), `${what} names a secret`);
    }
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGKILL');
      await once(child, 'exit');
    }
  }
});

test('the store, the activity files, the logs and the exports have none of them', async () => {
  const files = [...filesOf(w.data)];
  assert.ok(files.some((f) => f.endsWith('daypass.db')), files.join());
  for (const file of files) lookIn(path.relative(w.data, file), fs.readFileSync(file));
  lookIn('the log', w.serverLog);
  lookIn('the audit export', JSON.stringify(await w.audit()));
  lookIn('the metrics', await (await fetch(`${w.url}/metrics`)).text());
  for (const what of ['cmdline', 'environ']) lookIn(`${what} of the server`, fs.readFileSync(`/proc/${w.server.pid}/${what}`));
  // The same search finds what is there.
  const planted = path.join(w.folder, 'planted');
  fs.writeFileSync(planted, `x${canaries['the token of a login'][0]}y`);
  assert.throws(() => lookIn('planted', fs.readFileSync(planted)), /planted has the token of a login/);
});

test('a crash leaves no core, whatever the limits were', async () => {
  await w.stopServer();
  const folder = path.join(w.folder, 'crash');
  fs.mkdirSync(folder);
  // The shell says "core dumped" where there is one, also one that went to a program.
  const shell = spawn('bash', ['-c', 'ulimit -c unlimited; "$0" server run --config "$1" & echo $!; wait $!; echo "ended $?"', daypass, w.config], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  shell.stdout.on('data', (d) => { out += d; });
  shell.stderr.on('data', (d) => { err += d; });
  await until(() => fetch(`${w.url}/readyz`).then((r) => r.ok, () => false), 'the server');
  process.kill(Number(out.split('\n')[0]), 'SIGABRT');
  await once(shell, 'exit');
  assert.match(out, /ended 134/);
  assert.doesNotMatch(err, /core dumped/);
  assert.deepEqual(fs.readdirSync(folder), []);
  await w.startServer();
});
