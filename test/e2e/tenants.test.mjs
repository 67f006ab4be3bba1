// The evil tenant: A may do whatever its administrators can, and must never learn of B, use what is B's, or hold B up.
// operations.mjs says how each operation is called, commands.mjs each command; a new one without an entry there is a failure here.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import pg from 'pg';
import { PlainOp, browse, freePort, until } from './harness.mjs';
import { TwoTenants, ghostOf, redirect } from './two_tenants.mjs';
import { commands, described, said } from './commands.mjs';
import { operations, calls, call, plain, withoutSent } from './operations.mjs';

let w, a, b;
const live = {};
before(async () => { w = await TwoTenants.start(); ({ a, b } = w); });
after(async () => { await w?.stop(); });

test('two tenants are made and applied while the server runs, and people of both get psql', { timeout: 60000 }, async () => {
  const pid = w.server.pid;
  for (const t of [a, b]) {
    const made = await w.operate('tenants', 'create', t.id, '--display', t.c.display);
    assert.equal((await w.operate('tenants', 'set', t.id, '--private-host', '127.0.0.1', '--private-host', t.c.host)).code, 0);
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
    const { access_token: named } = await t.signIn('corp', t.c.subject);
    const [own] = t.given().corp;
    assert.equal((await t.api('POST', '/credentials', named, { target: own.slice(0, own.lastIndexOf('/')), roles: [own], reason: `for ${t.c.reason}` })).status, 201);
    // "admins" of the other provider administer nothing.
    const { access_token: token } = await t.signIn(t.c.idp, 'ada');
    assert.equal((await t.api('GET', '/sessions', token)).status, 403);
  }
  assert.equal(w.server.pid, pid);
  assert.equal(w.server.exitCode, null);
  // Before A knows any word of B: all that A can look at.
  await lookAround();
});

/** Everything that identifies something of B's, by kind; all of it alive. Its answers are B's own and are not told to A. */
async function identifiers() {
  const of = async (t) => {
    const { c } = t;
    const person = await t.signIn('corp', 'dana'), admin = await t.signIn('corp', 'ada');
    const [role] = t.given().corp;
    const target = role.slice(0, role.lastIndexOf('/'));
    await t.api('PUT', `/secrets/${c.sealed}`, admin.access_token, { value: c.secret });
    const creds = (await t.api('POST', '/credentials', person.access_token, { target, roles: [role] })).json;
    const client = await w.connect(creds);
    const grant = (await t.api('GET', '/grants', person.access_token)).json.grants.find((g) => g.session === person.session);
    const device = (await t.ask('POST', '/oauth/device_authorization', { form: { client_id: 'daypass-cli' } })).json;
    const pending = await t.begin('corp');
    const tested = (await t.api('POST', '/idps/corp/test', admin.access_token, {})).json;
    const log = (await t.api('GET', '/audit', admin.access_token)).json;
    // Two sign-outs at the provider: one that has not begun there, one that has not come back.
    const signOut = async () => new URL((await t.api('DELETE', '/session', (await t.signIn('corp', 'dana')).access_token)).json.provider_logout_url).searchParams.get('handle');
    const handle = await signOut();
    const there = await t.ask('GET', `/logout?handle=${await signOut()}`);
    const told = await t.tell();
    const opened = log.records.map((r) => JSON.parse(r)).find((r) => JSON.stringify(r).includes('cx_'));
    return {
      creds, client, pending, admin, person, device, size: log.size,
      ids: {
        grant: grant.id, account: grant.account, session: person.session, credential: creds.user, password: creds.password, connection: JSON.stringify(opened).match(/cx_[a-z2-7]+/)[0],
        target: `pg/${c.target}`, role: `pg/${c.target}/${c.role}`, idp: c.idp, issuer: t.ops.corp.issuer, principal: `${c.idp}/dana`, person: c.person, email: `${c.email}@example.test`, group: c.group,
        secret: c.sealed, forward: c.forward, pgGroup: c.pgGroup, database: c.database, policy: c.policy, tenant: t.id, cursor: String(log.size).padStart(12, '0'), deviceCode: device.device_code, userCode: device.user_code,
        state: pending.state, cookie: pending.cookie, token: person.access_token, handle, logoutState: new URL(there.headers.get('location')).searchParams.get('state'),
        scimToken: t.scimToken, scimUser: told.user, scimGroup: told.group, scimName: c.scimName, scimSubject: c.scimSubject, scimGroupName: c.scimGroupName,
        test: tested.id, testKey: new URL(tested.url).searchParams.get('key'),
      },
    };
  };
  const mine = await of(a), theirs = await of(b);
  // A's default values: its own, which work, but for those that are used up by one use.
  mine.v = { ...mine.ids, target: 'pg/orders', role: 'pg/orders/reader', idp: 'corp', principal: 'corp/dana', files: a.files(), state: ghostOf(mine.ids.state), cookie: mine.ids.cookie, deviceCode: ghostOf(mine.ids.deviceCode), code: ghostOf(mine.ids.state), verifier: ghostOf(mine.ids.state), handle: ghostOf(mine.ids.handle), logoutState: ghostOf(mine.ids.logoutState) };
  theirs.files = b.files();
  return { mine, theirs };
}

test('an identifier of B is worth as much to A as one that never was, in every operation', { timeout: 100000 }, async (t) => {
  const doc = await (await fetch(`${w.url}/api/v1/openapi.json`)).json();
  const offered = Object.entries(doc.paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)).filter((name) => name.includes('{tenant}'));
  assert.deepEqual(Object.keys(operations).sort(), offered.sort(), 'operations.mjs says how each operation is called');

  const offeredToOperator = Object.entries(doc.paths).filter(([path]) => path.includes('/tenants')).flatMap(([path, item]) => Object.keys(item).map((method) => [method.toUpperCase(), path]));
  assert.ok(offeredToOperator.length >= 3);

  // B's log grows longer than A's, so that a place in it is none in A's.
  const [forbidden] = b.given()[b.c.idp];
  const { access_token: dana } = await b.signIn('corp', 'dana');
  await Promise.all(Array.from({ length: 80 }, () => b.api('POST', '/credentials', dana, { target: forbidden.slice(0, forbidden.lastIndexOf('/')), roles: [forbidden] })));
  const { mine, theirs } = live.ids = await identifiers();
  // The code is good for a minute: it is made last.
  const finished = await b.finish(await b.begin('corp'), 'dana');
  Object.assign(theirs.ids, { code: finished.code, verifier: finished.verifier });
  const ids = theirs.ids;
  assert.ok(theirs.size > mine.size + 20, 'the cursor of B lies outside the log of A');
  const table = calls(mine.v);
  const both = async (what, one, other, sentOne, sentOther) => {
    const x = plain(await one(), sentOne), y = plain(await other(), sentOther);
    assert.equal(x, y, what);
  };
  const ghosts = () => Object.fromEntries(Object.entries(ids).map(([kind, id]) => [kind, ghostOf(id)]));
  const record = a.onAnswer;
  const callers = [['administrator', mine.admin.access_token], ['user', mine.person.access_token]];
  let compared = 0;

  await t.test("A's path, each identifier of B in each place", async () => {
    for (const [who, token] of callers) {
      for (const op of table) {
        for (const slot of op.slots) {
          for (const [kind, id] of Object.entries(ids)) {
            // Every kind in every place for who may do most; else what fits the place.
            if (kind !== slot && (op.slow || who === 'user')) continue;
            const ghost = ghostOf(id);
            await both(`${who}: ${op.name}, ${kind} of B as ${slot}`, () => call(w, a.id, op, { ...mine.v, [slot]: id }, token, record), () => call(w, a.id, op, { ...mine.v, [slot]: ghost }, token, record), [id], [ghost]);
            compared += 1;
          }
        }
      }
    }
  });
  await t.test("each place is looked at: A's own identifiers there make a difference", async () => {
    // Not where the state of a sign-in, which is used up, is asked first, nor on the page that only shows the code again, nor where it
    // would end what is needed later, nor where a provider that is not there answers like one that knows nobody; nor a test, which gives way to its owner's next.
    const blind = (name) => name.includes('callback') || name.endsWith('/confirm') || name.endsWith('/events') || name.endsWith('/end') || name === 'GET /t/{tenant}/device' || /^GET .*\/test(\/|$)/.test(name);
    for (const op of table.filter((o) => !blind(o.name))) {
      for (const slot of op.slots.filter((s) => ['grant', 'target', 'role', 'idp', 'principal', 'userCode', 'pgGroup', 'scimToken', 'scimUser', 'scimGroup', 'scimName', 'scimSubject', 'scimGroupName'].includes(s))) {
        const ghost = ghostOf(mine.v[slot]);
        const differs = [];
        for (const [, token] of callers) {
          const own = await call(w, a.id, op, mine.v, token, record), other = await call(w, a.id, op, { ...mine.v, [slot]: ghost }, token, record);
          differs.push(plain(own, [mine.v[slot]]) !== plain(other, [ghost]));
        }
        assert.ok(differs.includes(true), `${op.name}, ${slot}`);
      }
    }
  });
  await t.test("A's path, all identifiers of B at once", async () => {
    for (const [who, token] of callers) {
      for (const op of table.filter((o) => o.slots.length > 1)) {
        const other = ghosts();
        await both(`${who}: ${op.name}`, () => call(w, a.id, op, { ...ids, files: mine.v.files }, token, record), () => call(w, a.id, op, { ...other, files: mine.v.files }, token, record), Object.values(ids), Object.values(other));
        compared += 1;
      }
    }
  });
  await t.test("A's path with B's token, as with a made-up one", async () => {
    for (const token of [ids.token, theirs.admin.access_token, ids.scimToken]) {
      for (const op of table) {
        const ghost = ghostOf(token);
        const at = (scimToken) => ({ ...mine.v, scimToken });
        await both(op.name, () => call(w, a.id, op, at(token), token, record), () => call(w, a.id, op, at(ghost), ghost, record), [token], [ghost]);
        compared += 1;
      }
    }
  });
  await t.test("B's path with A's token, as with a made-up one", async () => {
    // What is used up by one use stays B's; the token is what is tried here.
    const v = { ...ids, ...Object.fromEntries(['code', 'state', 'deviceCode', 'userCode', 'cookie', 'handle', 'logoutState'].map((kind) => [kind, ghostOf(ids[kind])])), files: theirs.files };
    for (const [who, token] of [...callers, ['provider', mine.ids.scimToken]]) {
      for (const op of table) {
        const ghost = ghostOf(token);
        const at = (scimToken) => ({ ...v, scimToken });
        await both(`${who}: ${op.name}`, () => call(w, b.id, op, at(token), token, op.name.includes('/api/v1/') ? record : undefined), () => call(w, b.id, op, at(ghost), ghost), [token], [ghost]);
        compared += 1;
      }
    }
  });
  await t.test("the operator's operations tell A nothing of B", async () => {
    for (const [method, at] of offeredToOperator) {
      for (const [, token] of callers) {
        const ghost = ghostOf(b.id);
        await both(`${method} ${at}`, () => w.request(method, w.url + at.replace('{id}', b.id), { token, onAnswer: record }), () => w.request(method, w.url + at.replace('{id}', ghost), { token, onAnswer: record }), [b.id], [ghost]);
      }
    }
  });
  await t.test("A's sign-in is not finished by B's browser, nor at another provider's address", async () => {
    for (const cookie of [ids.cookie, ghostOf(ids.cookie)]) {
      const begun = await a.begin('corp');
      const answer = await a.ask('GET', `/idp/corp/callback?code=x&state=${begun.state}&iss=${encodeURIComponent(a.ops.corp.issuer)}`, { cookie });
      assert.equal(answer.status, 403);
      assert.match(answer.body, /login\.browser/);
    }
  });
  await t.test('all of it was alive, and B has it still', async () => {
    assert.ok(compared > 500, String(compared));
    const { person, admin } = theirs;
    assert.equal((await theirs.client.query('SELECT name FROM owner')).rows[0].name, b.c.row);
    const grant = (await b.api('GET', `/grants/${ids.grant}`, person.access_token)).json;
    assert.equal(grant.state, 'active');
    assert.equal(grant.account, ids.account);
    const sessions = (await b.api('GET', '/sessions', admin.access_token)).json.sessions;
    assert.ok(sessions.some((s) => s.id === ids.session));
    assert.equal((await b.api('GET', `/idps/corp/test/${ids.test}`, admin.access_token)).json.state, 'waiting');
    assert.equal((await b.api('GET', `/audit?from=${ids.cursor}`, admin.access_token)).json.records.length > 0, true);
    const redeemed = await b.redeem(finished);
    assert.equal(redeemed.status, 200, JSON.stringify(redeemed));
    assert.equal(redeemed.principal, 'corp/dana');
    const group = (await b.ask('GET', `/idp/corp/scim/v2/Groups/${ids.scimGroup}`, { token: ids.scimToken })).json;
    assert.deepEqual([group.displayName, group.members.map((m) => m.value)], [b.c.scimGroupName, [ids.scimUser]]);
    assert.equal((await b.ask('GET', `/idp/corp/scim/v2/Users/${ids.scimUser}`, { token: ids.scimToken })).json.active, true);
    await (await w.connect(theirs.creds)).end();
    const poll = { form: { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'daypass-cli', device_code: ids.deviceCode } };
    assert.equal((await b.ask('POST', '/oauth/token', poll)).json.check, 'device.pending');
    // The pending sign-in becomes the device's: its user code was found.
    const page = await b.ask('POST', '/device', { form: { user_code: ids.userCode, idp: 'corp' } });
    assert.equal(page.status, 303, page.body);
    assert.ok((await b.finish(theirs.pending, 'dana')).code);
    assert.equal((await b.api('GET', '/session', ids.token)).status, 200);
    assert.equal((await b.ask('GET', `/logout?handle=${ids.handle}`)).status, 303);
    assert.equal((await b.ask('GET', `/idp/corp/logout?state=${ids.logoutState}`)).status, 200);
  });
});

test('an identifier of B is worth as much to A as one that never was, in every command', { timeout: 60000 }, async () => {
  // The first "### `daypass`" of the page lists the options of all commands.
  assert.deepEqual(Object.keys(commands).sort(), described().sort(), 'commands.mjs says how each command is called');
  const { ids } = live.ids.theirs;
  const ghosts = Object.fromEntries(Object.entries(ids).map(([kind, id]) => [kind, ghostOf(id)]));
  const jobs = Object.entries(commands).flatMap(([name, build]) => {
    if (typeof build === 'string') return [];
    const own = build(ids), others = build(ghosts);
    return own.flatMap((args, i) => [[], ['-o', 'json']].map((output) => ({ name, args: [args[0], ...output, ...args.slice(1)], other: [others[i][0], ...output, ...others[i].slice(1)] })));
  });
  // One at a time: two set-ups of one home, or two erasures of one tenant, are told to wait for each other.
  const alone = jobs.filter((job) => /^setup|^audit erase/.test(job.name)), others = jobs.filter((job) => !alone.includes(job));
  const work = async (jobs) => {
    for (let job; (job = jobs.pop());) {
      const [x, y] = [await a.cli('a-ada', job.args), await a.cli('a-ada', job.other)];
      assert.equal(said(x, Object.values(ids)), said(y, Object.values(ghosts)), job.args.join(' '));
      assert.notEqual(x.code, job.name === 'sessions end' ? 1 : 0, `${job.args.join(' ')}: ${x.out}`);
    }
  };
  await Promise.all([work(alone), work(others), work(others)]);
  assert.equal((await b.api('GET', '/session', ids.token)).status, 200);
});

/** What the gate answers to who must not get in: every field of the error, told to A when A asked. */
async function refusal(options) {
  const client = new pg.Client(options);
  client.on('error', () => {});
  const scram = [];
  client.connection.on('authenticationSASLContinue', (message) => scram.push(message.data));
  const error = await client.connect().then(() => null, (e) => e);
  await client.end().catch(() => {});
  assert.ok(error, `${options.user} got in`);
  const fields = JSON.stringify({ ...error, message: error.message });
  w.seen.push({ sent: JSON.stringify({ user: options.user, password: options.password, database: options.database }), got: fields });
  return { code: error.code, fields, salt: scram[0]?.match(/s=([^,]+),i=(\d+)/)?.slice(1) };
}

test("the gate: B's database, B's user name, and what it says of them", { timeout: 60000 }, async () => {
  const { mine, theirs } = live.ids;
  for (const database of [b.c.database, `pg/${b.c.target}`]) {
    const ghost = ghostOf(database);
    const [x, y] = [await refusal(w.options(mine.creds, { database })), await refusal(w.options(mine.creds, { database: ghost }))];
    assert.equal(x.code, '3D000');
    assert.equal(withoutSent(x.fields, [database]), withoutSent(y.fields, [ghost]));
  }
  // The database of that name is A's own, whoever else has one.
  const own = await w.connect(mine.creds, { database: 'orders' });
  assert.equal((await own.query('SELECT name FROM owner')).rows[0].name, a.c.row);
  await own.end();
  const { user } = theirs.creds, ghost = ghostOf(user);
  const [x, y] = [await refusal(w.options(mine.creds, { user })), await refusal(w.options(mine.creds, { user: ghost }))];
  assert.equal(x.code, '28P01');
  assert.equal(withoutSent(x.fields, [user]), withoutSent(y.fields, [ghost]));
  // Nor does the exchange before it tell which of them exists: the same number of rounds, a salt of the same length that stays.
  assert.equal(x.salt[1], y.salt[1]);
  assert.equal(x.salt[0].length, y.salt[0].length);
  assert.deepEqual([(await refusal(w.options(mine.creds, { user }))).salt, (await refusal(w.options(mine.creds, { user: ghost }))).salt], [x.salt, y.salt]);
});

/** An address of A's that leads where A wants, and that can change: to a port, or (null) to somebody who accepts and never answers. */
async function addressOfA(t, to) {
  const held = new Set();
  const self = { port: await freePort(), reached: 0 };
  const hold = (socket) => { held.add(socket); socket.on('error', () => {}); socket.on('close', () => held.delete(socket)); return socket; };
  const server = net.createServer((socket) => {
    hold(socket);
    self.reached += 1;
    if (to === null) return;
    const onward = hold(net.connect(to, '127.0.0.1'));
    onward.on('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  const drop = () => { for (const socket of held) socket.destroy(); };
  self.open = async () => { server.listen(self.port, '127.0.0.1'); await once(server, 'listening'); return self; };
  self.lead = (where, { keep = false } = {}) => { to = where; self.reached = 0; if (!keep) drop(); };
  self.close = () => { server.close(); drop(); };
  t.after(self.close);
  return self;
}

test("B's PostgreSQL server is none that A could have as a target", { timeout: 60000 }, async (t) => {
  const { mine } = live.ids;
  const token = mine.admin.access_token;
  for (const server of [a.pg, b.pg]) {
    await server.sql("CREATE ROLE neighbour_admin LOGIN CREATEROLE PASSWORD 'neighbour-of-a-test'; GRANT pg_signal_backend TO neighbour_admin; GRANT CONNECT ON DATABASE orders, postgres TO neighbour_admin");
    const [{ server_version_num: version }] = await server.sql('SHOW server_version_num');
    if (Number(version) >= 160000) await server.sql('GRANT orders_reader TO neighbour_admin WITH ADMIN OPTION');
  }
  // Who is not the operator refers to files of the tenant's own folder only.
  const password = a.secret('neighbour', 'neighbour-of-a-test');
  const folder = (change) => {
    const files = a.files();
    files['tenant.toml'] += `\n${a.target('pg/neighbour', 'orders', { port: b.pg.port, user: 'neighbour_admin', password, ...change })}[[role]]\nname = "pg/neighbour/reader"\ngroup = "orders_reader"\n`;
    files['policies/neighbour.cedar'] = '@id("neighbour") permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/neighbour/reader");\n';
    return files;
  };
  const hosts = ['127.0.0.1', 'localhost', '::1', b.pg.home], own = [a.c.host];
  const allow = async (list) => assert.equal((await w.operate('tenants', 'set', a.id, ...list.flatMap((host) => ['--private-host', host]))).code, 0);
  await t.test('by a private host that the operator did not give to A: refused before anybody is asked', async () => {
    for (const host of ['localhost', '::1', '127.0.0.2', b.pg.home]) {
      const answer = await a.api('POST', '/apply', token, { files: folder({ host }), dry_run: false });
      assert.equal(answer.status, 422, answer.body);
      assert.match(answer.body, /is no address of the internet/);
    }
  });
  await allow([...hosts, ...own]);
  t.after(() => allow(['127.0.0.1', ...own]));
  for (const host of hosts) {
    await t.test(`by ${host === b.pg.home ? 'its unix socket' : host}: refused`, async () => {
      for (const dry_run of [true, false]) {
        const answer = await a.api('POST', '/apply', token, { files: folder({ host }), dry_run });
        assert.equal(answer.status, 422, answer.body);
        assert.match(answer.body, /pg\/neighbour is on a server that is taken already/);
      }
    });
  }
  // What an address leads to can change once it is applied: the server must be asked again before an account is made there.
  for (const [what, first] of [['to nothing', null], ["to A's own server", a.pg.port]]) {
    await t.test(`by an address that led ${what} when A applied: no account is made there`, async (t) => {
      const address = await addressOfA(t, first);
      if (first !== null) await address.open();
      const answer = await a.api('POST', '/apply', token, { files: folder({ port: address.port }), dry_run: false });
      if (answer.status === 422) return;
      assert.equal(answer.status, 200, answer.body);
      const before = await b.pg.roles();
      // Connections that are open stay with the old server.
      address.lead(b.pg.port, { keep: true });
      if (first === null) await address.open();
      const creds = (await a.api('POST', '/credentials', mine.person.access_token, { target: 'pg/neighbour', roles: ['reader'] })).json;
      const client = await w.connect(creds).catch((e) => e);
      const made = (await b.pg.roles()).filter((role) => !before.includes(role));
      const read = await client.query?.('SELECT name FROM owner').then((r) => r.rows[0].name, (e) => e.message);
      await client.end?.();
      // Leaves A as it was, whatever came of it. A grant is closed only where it was given, so there the address must lead.
      if (first !== null) address.lead(first);
      const grants = (await a.api('GET', '/grants?all=true', token)).json.grants.filter((g) => g.target === 'pg/neighbour');
      for (const g of grants) await a.api('POST', `/grants/${g.id}/end`, token);
      await until(async () => (await a.api('POST', '/apply', token, { files: a.files(), dry_run: false })).status === 200, 'A without its neighbour');
      const left = (await b.pg.roles()).filter((role) => made.includes(role));
      for (const role of left) await b.pg.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`, 'orders');
      assert.deepEqual({ made, read, left }, { made: [], read: undefined, left: [] }, "accounts of A that were made on B's server, what they read there, and those that were left when their grant was closed");
    });
  }
});

test("what is in the files of B's secrets never goes to a server of A's", { timeout: 60000 }, async (t) => {
  const trap = await PlainOp.start();
  t.after(() => trap.stop());
  const got = [];
  trap.server.on('request', (req) => got.push(req.headers.authorization ?? ''));
  const files = a.files();
  files['tenant.toml'] = a.idp('trap', trap.issuer).replace(a.secrets, b.secrets) + files['tenant.toml'];
  const answer = await a.api('POST', '/apply', live.ids.mine.admin.access_token, { files, dry_run: false });
  assert.equal(answer.status, 422);
  assert.match(answer.body, /a reference to something of the server that is not the tenant's own/);
  if (answer.status === 200) {
    a.ops.trap = trap;
    await a.begin('trap').then((begun) => browse(begun.url, { jar: begun.jar, stop: redirect, onAnswer: a.onAnswer }), () => {});
    delete a.ops.trap;
    assert.equal((await a.api('POST', '/apply', live.ids.mine.admin.access_token, { files: a.files(), dry_run: false })).status, 200);
  }
  const told = got.map((header) => Buffer.from(header.replace(/^Basic /, ''), 'base64').toString()).join('\n');
  assert.ok(!told.includes(b.c.secret), `A applied "file:…" of B's client secret, and A's own token endpoint was sent: ${told.trim()}`);
});

test("a tenant's administrators keep its secrets themselves, and nobody sees them again", { timeout: 60000 }, async (t) => {
  const { mine } = live.ids;
  const token = mine.admin.access_token;
  const put = (name, value) => a.api('PUT', `/secrets/${name}`, token, { value });
  for (const [name, value] of [['idp', a.ops.corp.secret], ['pg', a.c.password], ['scim', a.scimToken], ['signing', a.signingSecret]]) assert.equal((await put(name, value)).status, 200);
  const files = a.files();
  files['tenant.toml'] = files['tenant.toml'].replaceAll(`file:${a.secrets}/`, 'tenant:');
  assert.match(files['tenant.toml'], /"tenant:idp"[^]*"tenant:pg"/);
  t.after(async () => {
    assert.equal((await a.api('POST', '/apply', token, { files: a.files(), dry_run: false })).status, 200);
    for (const name of ['idp', 'pg', 'scim', 'signing']) assert.equal((await a.api('DELETE', `/secrets/${name}`, token)).status, 200);
    assert.equal((await a.api('DELETE', '/secrets/pg', token)).json.check, 'secret.unknown');
  });
  const applied = await a.api('POST', '/apply', token, { files, dry_run: false });
  assert.equal(applied.status, 200, applied.body);
  const person = await a.signIn('corp', 'dana');
  const client = await w.connect((await a.api('POST', '/credentials', person.access_token, { target: 'pg/orders', roles: ['pg/orders/reader'] })).json);
  assert.equal((await client.query('SELECT name FROM owner')).rows[0].name, a.c.row);
  await client.end();
  assert.equal((await a.api('DELETE', '/secrets/pg', token)).json.check, 'secret.in_use');
  const key = await a.api('POST', '/secrets/saml-1/key', token, { kind: 'rsa' });
  assert.equal(key.status, 201, key.body);
  assert.match(key.json.certificate, /^-----BEGIN CERTIFICATE-----/);
  assert.ok(!key.body.includes('PRIVATE'));
  assert.equal((await a.api('DELETE', '/secrets/saml-1', token)).status, 200);
  const told = JSON.stringify([await a.api('GET', '/secrets', token), await a.api('GET', '/audit?limit=1000', token)]);
  assert.ok(!told.includes(a.c.password) && told.includes('secret.set'));
  assert.equal((await a.api('GET', '/secrets', person.access_token)).status, 403);
});

test("a secret of B is no transmitter's token in A", async () => {
  const own = `file:${a.secrets}/idp`, other = `file:${b.secrets}/idp`;
  const apply = ({ poll = own, push = own }) => {
    const files = a.files();
    files['tenant.toml'] = `${a.idp('told', 'http://127.0.0.1:9')}[idp.signals]\ntransmitter = "http://127.0.0.1:9"\naudience = "a"\npoll_url = "http://127.0.0.1:9/poll"\npoll_token = "${poll}"\npush_tokens = ["${push}"]\n\n${files['tenant.toml']}`;
    return a.api('POST', '/apply', live.ids.mine.admin.access_token, { files, dry_run: true });
  };
  assert.equal((await apply({})).status, 200);
  for (const change of [{ poll: other }, { push: other }]) {
    const answer = await apply(change);
    assert.equal(answer.status, 422, answer.body);
    assert.match(answer.body, /a reference to something of the server that is not the tenant's own/);
  }
});

test('an identity provider of A that hangs, with 30 sign-ins at it, holds none of B up', { timeout: 60000 }, async (t) => {
  const hanging = await (await addressOfA(t, null)).open();
  const files = a.files();
  files['tenant.toml'] = a.idp('slow', `http://127.0.0.1:${hanging.port}`) + files['tenant.toml'];
  const applied = await a.api('POST', '/apply', live.ids.mine.admin.access_token, { files, dry_run: false });
  assert.equal(applied.status, 200, applied.body);
  const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), idp: 'slow' });
  let answered = 0, signedIn = 0;
  const pending = Array.from({ length: 30 }, () => a.ask('GET', `/oauth/authorize?${query}`).then(() => { answered += 1; }));
  await until(() => hanging.reached > 0, 'the first of them to hang');
  const ofB = (async () => {
    for (const idp of ['corp', b.c.idp, 'corp', b.c.idp, 'corp']) { await b.signIn(idp, 'dana'); signedIn += 1; }
  })();
  // Whoever of A is answered first was given up on: by then B should long be in.
  await Promise.race([ofB, ...pending]);
  const [a_, b_] = [answered, signedIn];
  hanging.close();
  await Promise.all([ofB, ...pending]);
  assert.deepEqual({ 'answered to A': a_, 'signed in at B': b_ }, { 'answered to A': 0, 'signed in at B': 5 });
  assert.equal((await a.api('POST', '/apply', live.ids.mine.admin.access_token, { files: a.files(), dry_run: false })).status, 200);
});

/** A new login of B's, and a connection for which an account must be made. */
async function newSession(t) {
  const [role] = t.given().corp;
  const { access_token: token, session } = await t.signIn('corp', 'dana');
  const creds = (await t.api('POST', '/credentials', token, { target: role.slice(0, role.lastIndexOf('/')), roles: [role] })).json;
  const client = await w.connect(creds);
  const grant = (await t.api('GET', '/grants', token)).json.grants.find((g) => g.session === session);
  return { token, client, grant };
}

test('a PostgreSQL server of A that hangs, with 30 applies at it, holds no new account of B up', { timeout: 60000 }, async (t) => {
  const hanging = await (await addressOfA(t, null)).open();
  const files = a.files();
  files['tenant.toml'] += `\n${a.target('pg/slow', 'orders', { port: hanging.port })}`;
  let answered = 0, made = 0;
  const pending = Array.from({ length: 30 }, () => a.api('POST', '/apply', live.ids.mine.admin.access_token, { files, dry_run: true }).then(() => { answered += 1; }));
  await until(() => hanging.reached > 0, 'the first of them to hang');
  const ofB = newSession(b).then((got) => { made += 1; return got; });
  await Promise.race([ofB, ...pending]);
  const [a_, b_] = [answered, made];
  hanging.close();
  const { client } = await ofB;
  await client.end();
  await Promise.all(pending);
  assert.deepEqual({ 'answered to A': a_, 'made at B': b_ }, { 'answered to A': 0, 'made at B': 1 });
});

test('two PostgreSQL servers of A that hang while grants there end hold no revocation of B up', { timeout: 60000 }, async (t) => {
  const admin = live.ids.mine.admin.access_token;
  const addresses = [await (await addressOfA(t, a.pg.port)).open(), await (await addressOfA(t, a.pg.port)).open()];
  const files = a.files();
  for (const [i, { port }] of addresses.entries()) {
    files['tenant.toml'] += `\n${a.target(`pg/slow${i}`, 'orders', { port })}[[role]]\nname = "pg/slow${i}/reader"\ngroup = "orders_reader"\n`;
    files['policies/main.cedar'] += `@id("slow${i}") permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/slow${i}/reader");\n`;
  }
  assert.equal((await a.api('POST', '/apply', admin, { files, dry_run: false })).status, 200);
  for (let login = 0; login < 3; login += 1) {
    const { access_token: token } = await a.signIn('corp', 'dana');
    for (const i of [0, 1]) await w.connect((await a.api('POST', '/credentials', token, { target: `pg/slow${i}`, roles: ['reader'] })).json);
  }
  const atSlow = async () => (await a.api('GET', '/grants?all=true', admin)).json.grants.filter((g) => g.target.startsWith('pg/slow'));
  const grants = await atSlow();
  assert.equal(grants.length, 6);
  const { token, client, grant } = await newSession(b);
  for (const address of addresses) address.lead(null);
  const ends = grants.map((g) => a.api('POST', `/grants/${g.id}/end`, admin));
  await until(() => addresses.every((address) => address.reached > 0), 'the revocations to hang');
  const ended = await b.api('POST', `/grants/${grant.id}/end`, token);
  const still = (await atSlow()).filter((g) => g.state === 'revoking').length;
  for (const address of addresses) address.lead(a.pg.port);
  await Promise.all(ends);
  await until(async () => (await atSlow()).length === 0, 'the revocations of A');
  assert.equal((await a.api('POST', '/apply', admin, { files: a.files(), dry_run: false })).status, 200);
  await client.end();
  // 200: closed, its account proven gone. 202 is the server's own limit: it waits no longer.
  assert.deepEqual({ status: ended.status, state: ended.json.state, 'still hanging at A': still }, { status: 200, state: 'closed', 'still hanging at A': 6 });
});

/** Everything that A's administrator can look at, so that it is among what A has seen. */
async function lookAround() {
  const { access_token: token } = await a.signIn('corp', 'ada');
  for (const [path, item] of Object.entries((await a.ask('GET', `${w.url}/api/v1/openapi.json`)).json.paths)) {
    const at = path.replace('/t/{tenant}', '');
    if (!item.get || at.includes('{')) continue;
    await a.ask('GET', path.includes('/t/{tenant}') ? at : `${w.url}${at}`, { token });
  }
  await a.ask('GET', '/api/v1/audit?from=0&limit=1000', { token });
  await a.ask('GET', '/api/v1/grants?all=true&closed=true', { token });
  const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20) });
  await a.ask('GET', `/oauth/authorize?${query}`);
  await a.ask('GET', `${w.url}/readyz?verbose=1`);
  for (const args of [['doctor', '-o', 'json'], ['audit', 'export'], ['ls', '--all'], ['grants', 'ls', '--all', '--closed'], ['sessions', 'ls'], ['policy', 'schema'], ['tenants', 'ls']]) await a.cli('a-ada', args);
}

test('what fails at B is logged', { timeout: 60000 }, async () => {
  // Each of these makes the server write a line; the last test looks at whose they say they are.
  const { theirs } = live.ids;
  const [role] = b.given().corp;
  assert.equal(role, `pg/${b.c.target}/${b.c.role}`);
  await b.pg.sql(`ALTER DATABASE ${b.c.database} CONNECTION LIMIT 0`);
  await assert.rejects(w.connect(theirs.creds));
  await b.pg.sql(`ALTER DATABASE ${b.c.database} CONNECTION LIMIT -1`);
  const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), idp: b.c.down });
  assert.equal((await b.ask('GET', `/oauth/authorize?${query}`)).status, 503);
  await until(() => w.log.includes('upstream login failed') && w.log.includes('metadata not fetched'), 'the lines');
});

/** Each operation at a tenant that is gone, as at one that never was: without a login, with one that was good there, and with one of A. */
async function neverWas(gone) {
  const ghost = ghostOf(gone.id);
  const { mine, theirs } = live.ids;
  const v = { ...theirs.ids, files: theirs.files };
  for (const token of [undefined, theirs.ids.token, mine.admin.access_token]) {
    for (const op of calls(mine.v)) {
      const [x, y] = [await call(w, gone.id, op, v, token, a.onAnswer), await call(w, ghost, op, v, token, a.onAnswer)];
      // SCIM says no more than that the token is not right, whatever is not there.
      assert.equal(x.status, op.name.includes('/scim/v2/') ? 401 : 404, op.name);
      assert.equal(plain(x, [gone.id]), plain(y, [ghost]), op.name);
    }
  }
}

test('B is deleted: its live session is cut, its roles go, nothing tells it from a tenant that never was; A lives on', { timeout: 60000 }, async () => {
  await lookAround();
  const ofA = live['a corp'], ofB = live['b corp'];
  ofB.child.stdin.write('SELECT pg_sleep(600);\n');
  await until(async () => (await b.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%' AND state = 'active'")).length === 1, 'the query of B');
  assert.ok((await b.pg.roles()).length >= 3);
  const accountsOfA = await a.pg.roles();
  const deleted = await w.operate('tenants', 'delete', b.id, '--yes');
  assert.equal(deleted.code, 0, deleted.err);
  assert.notEqual(await ofB.ended, 0);
  assert.match(ofB.err, /57P01/);
  await assert.rejects(live['b second'].say('SELECT 1'));
  await until(async () => (await b.pg.roles()).length === 0 && (await b.pg.backends()).length === 0, "nothing of ours on B's server");
  await until(async () => !(await w.tenantNames()).has(b.id), 'B to be gone from the list');
  assert.ok((await w.tenantNames()).has(a.id));
  assert.equal(await ofA.say('SELECT name FROM owner'), a.c.row);
  assert.deepEqual((await a.pg.roles()).sort(), accountsOfA.sort());
  await neverWas(b);

  const again = await w.operate('tenants', 'create', b.id);
  assert.equal(again.code, 1, again.err);
  assert.match(again.err, /tenant\.used_before/);
  const ghost = ghostOf(b.id);
  const [x, y] = [await w.operate('tenants', 'delete', b.id, '--yes'), await w.operate('tenants', 'delete', ghost, '--yes')];
  assert.equal(x.code, 6, x.err);
  assert.equal(said(x, [b.id]), said(y, [ghost]));
  // At the gate its credential is a name that nobody ever had, with the right password as with a wrong one.
  const { creds } = live.ids.theirs, user = ghostOf(creds.user);
  const [dead, unknown] = [await refusal(w.options(creds)), await refusal(w.options(creds, { user }))];
  assert.equal(dead.code, '28P01');
  assert.equal(withoutSent(dead.fields, [creds.user]), withoutSent(unknown.fields, [user]));
  assert.equal(await ofA.say('SELECT 1 + 1'), '2');
});

test('killed while a tenant is being deleted: the next start finishes it', { timeout: 60000 }, async () => {
  // Its server is free again, so that the next one can have it.
  const c = await w.heir(b);
  assert.equal((await w.operate('tenants', 'create', c.id)).code, 0);
  const applied = await c.apply();
  assert.equal(applied.code, 0, applied.err);
  assert.equal((await c.login('c-dana', 'corp', 'dana')).code, 0);
  const session = w.psql(c, 'c-dana', `pg/${c.c.target}`);
  assert.equal(await session.say('SELECT name FROM owner'), c.c.row);
  // Nobody can drop a role while this lock is held.
  const holder = new pg.Client({ host: '127.0.0.1', port: c.pg.port, user: 'postgres', password: c.pg.password, database: 'postgres' });
  holder.on('error', () => {});
  await holder.connect();
  await holder.query('BEGIN; LOCK TABLE pg_authid IN SHARE MODE');
  const deleted = await w.operate('tenants', 'delete', c.id, '--yes');
  assert.equal(deleted.code, 0, deleted.err);
  const waiting = async () => (await holder.query("SELECT 1 FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted")).rowCount > 0;
  await until(waiting, 'the revocation to wait for the lock');
  assert.equal((await w.tenantNames()).get(c.id).state, 'deleting');
  await neverWas(c);
  await w.stopServer('SIGKILL');
  await holder.query('ROLLBACK');
  await holder.end();
  await w.startServer();
  await until(async () => !(await w.tenantNames()).has(c.id), 'the deletion to be finished');
  await until(async () => (await c.pg.roles()).length === 0 && (await c.pg.backends()).length === 0, "nothing of ours on its server");
  await neverWas(c);
  assert.match((await w.operate('tenants', 'create', c.id)).err, /tenant\.used_before/);
  assert.match((await w.operate('tenants', 'create', b.id)).err, /tenant\.used_before/);
  // A's login is good for a new session.
  const after_ = w.psql(a, 'a-corp-dana', 'pg/orders');
  assert.equal(await after_.say('SELECT name FROM owner'), a.c.row);
  assert.equal(await after_.close(), 0);
  await live['a corp'].close();
  await live['a second'].close();
});

test('nothing that A ever saw holds a word of B, but for what A itself said', async () => {
  await lookAround();
  const words = { ...live.ids.theirs.ids, ...b.c };
  // A place in a log is no word of anybody's.
  delete words.cursor;
  // What A typed stays in A's own log, and comes back to whoever reads that.
  const ownLog = /audit/;
  const known = new Set(), found = new Map();
  for (const { sent, got } of w.seen) {
    for (const [kind, word] of Object.entries(words)) {
      if ([word, encodeURIComponent(word)].some((form) => sent.includes(form))) known.add(kind);
      else if (got.includes(word) && !(known.has(kind) && ownLog.test(sent))) found.set(kind, `${sent.slice(0, 200)} -> ${got.slice(Math.max(0, got.indexOf(word) - 100)).slice(0, 300)}`);
    }
  }
  assert.deepEqual(Object.fromEntries(found), {});
  assert.ok(w.seen.length > 1000 && w.seen.some(({ got }) => got.includes(a.c.row)) && w.seen.some(({ got }) => got.includes(a.c.display) || got.includes(a.c.person)), "A's own are there");
  assert.ok(w.seen.some(({ sent, got }) => sent.includes('/metrics') && got.includes('daypass_build_info')), 'the metrics are among it');
});

test('the metrics count everybody together: no label names a tenant or anything of one', async () => {
  const { body } = await w.request('GET', `${w.url}/metrics`);
  const labels = new Set([...body.matchAll(/[{,](\w+)="/g)].map(([, name]) => name));
  assert.deepEqual([...labels].sort(), ['le', 'result', 'version']);
  for (const t of [a, b]) for (const [kind, word] of Object.entries({ ...t.c, id: t.id })) assert.ok(!body.includes(word), `${kind}: ${body}`);
});

/** Without the escapes of a URL. */
const unquoted = (text) => text.replace(/%[0-9A-F]{2}/gi, (x) => String.fromCharCode(parseInt(x.slice(1), 16)));

test("a line of the server's log that holds something of B says that it is B's, and one of A's requests holds what A sent alone", () => {
  const words = Object.values({ ...live.ids.theirs.ids, ...b.c, cursor: b.c.row });
  const lines = w.log.trim().split('\n').map((line) => JSON.parse(line));
  const sentBy = new Map(w.seen.flatMap(({ sent, got }) => [...got.matchAll(/"x-request-id","([^"]+)"/g)].map(([, id]) => [id, sent + unquoted(sent)])));
  const holds = (line) => words.some((word) => JSON.stringify(line).includes(word) && !(sentBy.get(line.request_id) ?? '').includes(word));
  // The path of a request is what its sender wrote, and a refusal may quote what was sent.
  assert.deepEqual(lines.filter(({ path: _, ...line }) => line.tenant !== b.id && holds(line)), []);
  const ofA = lines.filter((line) => sentBy.has(line.request_id));
  assert.ok(ofA.length > 1000, String(ofA.length));
  assert.deepEqual(ofA.filter(holds), []);
});
