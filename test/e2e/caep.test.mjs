// Security events of OpenID Shared Signals through the real server: a transmitter with keys, a configuration and TLS of its
// own pushes to the tenant "default" and is polled by the tenant "acme". Everything is awaited by its event.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import * as jose from 'jose';
import { CertifiedOp, World, freePort, people, until } from './harness.mjs';
import { Browser } from './browser.mjs';

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type';
const now = () => Math.floor(Date.now() / 1000);
const id = () => randomBytes(12).toString('hex');

/** Tells sid and auth_time in its ID tokens, as providers with back-channel logout do. */
class Op extends CertifiedOp {
  async rotate() {
    this.backchannel = this.redirects?.[0].replace(/callback$/, 'logout');
    await super.rotate();
    this.provider.on('grant.success', (ctx) => { this.idToken = ctx.body.id_token; });
  }
}

/**
 * A transmitter: "polled" tells of each poll, before it is answered; "told" of each answer that went out. When it hangs it
 * answers none: "hung" has the answer that stays open, and `hanging` is the one that is open now.
 */
class Transmitter extends EventEmitter {
  static async start(folder, name) {
    const self = new Transmitter();
    const key = path.join(folder, `${name}.key`);
    self.certFile = path.join(folder, `${name}.crt`);
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', self.certFile], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    self.kid = `key-${id()}`;
    self.keys = await jose.generateKeyPair('ES256', { extractable: true });
    self.token = `poll-${id()}`;
    self.queue = new Map();  // jti → token, until it is acknowledged
    self.acked = [];
    self.errors = {};
    self.polls = 0;
    self.server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(self.certFile) }, (req, res) => self.serve(req, res).catch((e) => { res.statusCode = 500; res.end(String(e)); }));
    self.server.listen(0, '127.0.0.1');
    await once(self.server, 'listening');
    self.issuer = `https://localhost:${self.server.address().port}/${name}`;
    return self;
  }
  async serve(req, res) {
    const origin = new URL(this.issuer).origin, at = new URL(this.issuer).pathname;
    const json = (value) => { res.setHeader('content-type', 'application/json'); res.end(JSON.stringify(value)); };
    if (req.url === `/.well-known/ssf-configuration${at}`) return json({ spec_version: '1_0', issuer: this.issuer, jwks_uri: `${origin}/jwks`, delivery_methods_supported: ['urn:ietf:rfc:8935', 'urn:ietf:rfc:8936'] });
    if (req.url === '/jwks') return json({ keys: [{ ...(await jose.exportJWK(this.keys.publicKey)), kid: this.kid, use: 'sig', alg: 'ES256' }] });
    if (req.url !== '/poll') { res.statusCode = 404; return res.end(); }
    this.polls += 1;
    let body = '';
    for await (const chunk of req) body += chunk;
    this.emit('polled');
    if (this.hangs) {
      this.hanging = res;
      res.once('close', () => { if (this.hanging === res) this.hanging = undefined; });
      this.emit('hung', res);
      return undefined;
    }
    assert.equal(req.headers.authorization, `Bearer ${this.token}`);
    const asked = JSON.parse(body);
    assert.equal(asked.returnImmediately, true);
    if (!this.deaf) for (const jti of asked.ack ?? []) { this.queue.delete(jti); this.acked.push(jti); }
    for (const [jti, error] of Object.entries(asked.setErrs ?? {})) {
      assert.equal(req.headers['content-language'], 'en');
      this.queue.delete(jti);
      this.errors[jti] = error;
    }
    const sets = [...this.queue].slice(0, asked.maxEvents);
    json({ sets: Object.fromEntries(sets), moreAvailable: this.queue.size > sets.length });
    this.emit('told', sets.map(([jti]) => jti));
    return undefined;
  }
  sign(claims, { typ = 'secevent+jwt', key = this.keys.privateKey, kid = this.kid } = {}) {
    return new jose.SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader({ alg: 'ES256', kid, ...(typ && { typ }) }).sign(key);
  }
  /** Polled from here on, until it is acknowledged or refused. */
  async enqueue(claims, options) {
    this.queue.set(claims.jti, await this.sign(claims, options));
    return claims.jti;
  }
  async stop() { this.server.closeAllConnections(); this.server.close(); await once(this.server, 'close'); }
}

let w, acmeOp, pushes, polled;
const pushTokens = { default: `push-${id()}`, old: `Basic ${Buffer.from(id()).toString('base64')}`, acme: `push-${id()}` };
const audience = (tenant) => `${w.url}/t/${tenant}/idp/demo/events`;

before(async () => {
  w = await World.start({
    op: Op, host: 'localhost',
    prepare: async (world) => {
      pushes = await Transmitter.start(world.folder, 'pushes');
      polled = await Transmitter.start(world.folder, 'polled');
      for (const [name, text] of Object.entries({ 'push-default': pushTokens.default, 'push-old': pushTokens.old, 'push-acme': pushTokens.acme, 'poll-acme': polled.token })) world.write(name, `${text}\n`);
      const file = path.join(world.tenant, 'tenant.toml');
      const signals = `[idp.signals]\ntransmitter = "${pushes.issuer}"\naudience = "${world.url}/t/default/idp/demo/events"\npush_tokens = ["file:${world.folder}/push-default", "file:${world.folder}/push-old"]\n`;
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('scopes = ["profile"]\n', `scopes = ["profile"]\nca_file = "${pushes.certFile}"\n`).replace('[idp.attributes]\ndepartment = "department"\n', (m) => m + signals));
    },
  });
  acmeOp = new Op();
  acmeOp.people = people;
  acmeOp.port = await freePort();
  acmeOp.issuer = `http://127.0.0.1:${acmeOp.port}`;
  acmeOp.secret = w.op.secret;
  acmeOp.redirects = [`${w.url}/t/acme/idp/demo/callback`];
  await acmeOp.rotate();
  w.write('acme/tenant.toml', `[[idp]]\nname = "demo"\nissuer = "${acmeOp.issuer}"\nclient_id = "daypass"\nclient_secret = "file:${w.folder}/client-secret"\nscopes = ["profile"]\nca_file = "${polled.certFile}"\n[idp.signals]\ntransmitter = "${polled.issuer}"\naudience = "acme"\npoll_url = "${new URL('/poll', polled.issuer)}"\npoll_token = "file:${w.folder}/poll-acme"\npoll_every = "1s"\npush_tokens = ["file:${w.folder}/push-acme"]\n`);
  w.write('acme/policies/main.cedar', '@id("nobody") forbid(principal, action, resource);\n');
  for (const args of [['tenants', 'create', 'acme'], ['apply', `${w.folder}/acme`, '--tenant', 'acme', '--yes']]) {
    const done = await w.cli('operator', args);
    assert.equal(done.code, 0, done.err + done.out);
  }
});
after(async () => { await w?.stop(); await acmeOp?.stop(); await pushes?.stop(); await polled?.stop(); });

let count = 0;
/** A person whom no other test has; both tenants' providers know the name. */
function person(name) {
  const sub = `${name}-${count += 1}`;
  people[sub] = { sub, name, groups: ['data'], department: 'data' };
  return sub;
}
function login(home, sub, { tenant = 'default', browser = new Browser(), op = tenant === 'acme' ? acmeOp : w.op } = {}) {
  return w.login(home, { args: ['--tenant', tenant, '--idp', 'demo'], visit: (url) => { op.next = sub; return browser.open(url); } });
}
async function loggedIn(home, sub, options) {
  const done = await login(home, sub, options);
  assert.equal(done.code, 0, done.err + done.page?.body);
  return jose.decodeJwt((options?.tenant === 'acme' ? acmeOp : w.op).idToken);
}
const status = (home, tenant) => w.cli(home, ['status', '--tenant', tenant ?? 'default']);
const lives = async (home, tenant) => { const s = await status(home, tenant); assert.equal(s.code, 0, `the login of ${home} lives on: ${s.err}`); };
const over = async (home, tenant) => { const s = await status(home, tenant); assert.equal(s.code, 4, `${home}: ${s.out}${s.err}`); };
const ends = (home, tenant) => until(async () => (await status(home, tenant)).code === 4, `the login of ${home} to end`);
const noRoles = () => until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');
async function running(home, seconds) {
  const query = `SELECT pg_sleep(${seconds})`;
  const ended = w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', '-c', query]);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE query = '${query}'`)).length === 1, `the query of ${home}`);
  return { ended };
}

const sub_id = (sub, tenant = 'default') => ({ format: 'iss_sub', iss: tenant === 'acme' ? acmeOp.issuer : w.op.issuer, sub });
// Whoever signs in anew within the second of an event is not later than it.
const happened = () => now() - 2;
const revoked = (event = {}) => ({ [`${CAEP}/session-revoked`]: { event_timestamp: happened(), initiating_entity: 'admin', reason_admin: { en: 'a test' }, ...event } });
const changed = (change_type, event = {}) => ({ [`${CAEP}/credential-change`]: { event_timestamp: happened(), credential_type: 'password', change_type, ...event } });
const claims = (change) => ({ iss: pushes.issuer, aud: audience('default'), iat: now(), jti: id(), txn: id(), events: revoked(), ...change });
async function post(tenant, token, { authorization = `Bearer ${pushTokens[tenant]}`, type = 'application/secevent+jwt', idp = 'demo' } = {}) {
  const res = await fetch(`${w.url}/t/${tenant}/idp/${idp}/events`, { method: 'POST', headers: { 'content-type': type, accept: 'application/json', ...(authorization && { authorization }) }, body: await token });
  const text = await res.text();
  return { status: res.status, headers: res.headers, text, ...(text.startsWith('{') && { said: JSON.parse(text) }) };
}
const push = (change, signing) => post('default', pushes.sign(claims(change), signing));
async function told(change) {
  const res = await push(change);
  assert.deepEqual([res.status, res.text], [202, ''], res.text);
}
function refused(res, err, what) {
  assert.equal(res.status, err === 'authentication_failed' ? 401 : 400, `${what}: ${res.status} ${res.text}`);
  assert.equal(res.said.err, err, `${what}: ${res.text}`);
  assert.ok(res.said.description, what);
  assert.equal(res.headers.get('content-language'), 'en');
  assert.match(res.headers.get('content-type'), /^application\/json/);
}

test('session-revoked cuts psql with a sentence, removes the account and ends that person alone', async () => {
  const [dana, sam] = [person('dana'), person('sam')];
  await loggedIn('here', dana);
  await loggedIn('there', dana);
  await loggedIn('sam', sam);
  const cuts = [await running('here', 201), await running('there', 202)];
  const goes = await running('sam', 203);
  const set = await pushes.sign(claims({ sub_id: sub_id(dana) }));
  const res = await post('default', set);
  assert.deepEqual([res.status, res.text], [202, '']);
  for (const cut of cuts) assert.match((await cut.ended).err, /grant gr_\w+ on pg\/orders ended: the identity provider ended the session/);
  await over('here');
  await over('there');
  await lives('sam');
  await until(async () => (await w.pg.roles()).length === 1, "only sam's account on the server");
  const [record] = (await w.audit()).filter((r) => r.action === 'signal.session_revoked');
  assert.deepEqual([record.object, record.facts.sessions_ended], ['demo', 2]);
  // Told again it is acknowledged again, and does nothing to who signed in since.
  await loggedIn('here', dana);
  assert.equal((await post('default', set)).status, 202);
  await lives('here');
  await told({ sub_id: sub_id(sam) });
  assert.notEqual((await goes.ended).code, 0);
  await noRoles();
});

test('credential-change ends sessions, unless a credential is added', async () => {
  const dana = person('dana');
  await loggedIn('cred', dana);
  const cut = await running('cred', 204);
  await told({ sub_id: sub_id(dana), events: changed('create') });
  await lives('cred');
  await told({ sub_id: sub_id(dana), events: changed('update') });
  assert.match((await cut.ended).err, /the identity provider ended the session/);
  await over('cred');
  for (const [change, type] of [['revoke', 'fido2-roaming'], ['delete', 'app']]) {
    await loggedIn('cred', dana);
    await told({ sub_id: sub_id(dana), events: changed(change, { credential_type: type }) });
    await over('cred');
  }
  assert.equal((await w.audit()).filter((r) => r.action === 'signal.credential_change').length, 3);
  await noRoles();
});

test('an event that names a session ends that one, and both it and the person must fit', async () => {
  const [dana, sam] = [person('dana'), person('sam')];
  const one = await loggedIn('one', dana);
  const two = await loggedIn('two', dana);
  assert.notEqual(one.sid, two.sid);
  const both = (sub, sid) => ({ format: 'complex', user: sub_id(sub), session: { format: 'opaque', id: sid }, tenant: { format: 'opaque', id: 'corp' } });
  await told({ sub_id: both(sam, one.sid) });
  await lives('one');
  await told({ sub_id: both(dana, one.sid) });
  await over('one');
  await lives('two');
  await told({ sub_id: { format: 'opaque', id: two.sid } });
  await over('two');
});

test('what is not right is refused by its name, and ends nothing', async () => {
  const dana = person('dana');
  const { sid } = await loggedIn('firm', dana);
  const goes = await running('firm', 205);
  const subject = { sub_id: sub_id(dana) };
  const { privateKey: stranger } = await jose.generateKeyPair('ES256');
  const right = await pushes.sign(claims(subject));
  const [header, payload, signature] = right.split('.');
  const cases = {
    'a stranger signed': ['invalid_key', await push(subject, { key: stranger })],
    'a key of another name': ['invalid_key', await push(subject, { kid: 'another' })],
    "the other transmitter's key": ['invalid_key', await push(subject, { key: polled.keys.privateKey, kid: polled.kid })],
    'no signature': ['invalid_key', await post('default', `${header}.${payload}.`)],
    'alg none': ['invalid_request', await post('default', `${jose.base64url.encode('{"alg":"none","typ":"secevent+jwt"}')}.${payload}.`)],
    'another payload': ['invalid_key', await post('default', `${header}.${jose.base64url.encode(JSON.stringify(claims({ ...subject, aud: audience('default') })))}.${signature}`)],
    'no token at all': ['invalid_request', await post('default', 'hello')],
    'too large': ['invalid_request', await post('default', `${header}.${'A'.repeat(70000)}.${signature}`)],
    'another type': ['invalid_request', await push(subject, { typ: 'JWT' })],
    'a logout token': ['invalid_request', await push(subject, { typ: 'logout+jwt' })],
    'no type': ['invalid_request', await push(subject, { typ: '' })],
    iss: ['invalid_issuer', await push({ ...subject, iss: polled.issuer })],
    aud: ['invalid_audience', await push({ ...subject, aud: 'acme' })],
    'no aud': ['invalid_audience', await push({ ...subject, aud: undefined })],
    exp: ['invalid_request', await push({ ...subject, exp: now() + 600 })],
    sub: ['invalid_request', await push({ ...subject, sub: dana })],
    'no jti': ['invalid_request', await push({ ...subject, jti: undefined })],
    'of the future': ['invalid_request', await push({ ...subject, iat: now() + 600 })],
    'eight days old': ['invalid_request', await push({ ...subject, iat: now() - 8 * 24 * 3600 })],
    'no event': ['invalid_request', await push({ ...subject, events: {} })],
    'two events': ['invalid_request', await push({ ...subject, events: { ...revoked(), ...changed('update') } })],
    'no such change': ['invalid_request', await push({ ...subject, events: changed('forget') })],
    nobody: ['invalid_request', await push({})],
    'an e-mail address': ['invalid_request', await push({ sub_id: { format: 'email', email: `${dana}@example.test` } })],
    'an e-mail address and the session': ['invalid_request', await push({ sub_id: { format: 'complex', user: { format: 'email', email: `${dana}@example.test` }, session: { format: 'opaque', id: sid } } })],
    'a telephone number': ['invalid_request', await push({ sub_id: { format: 'phone_number', phone_number: '+12065550100' } })],
    'an account': ['invalid_request', await push({ sub_id: { format: 'account', uri: `acct:${dana}@example.test` } })],
    'somebody of another provider': ['access_denied', await push({ sub_id: sub_id(dana, 'acme') })],
    'another content type': ['invalid_request', await post('default', right, { type: 'application/jwt' })],
  };
  for (const [what, [err, res]] of Object.entries(cases)) refused(res, err, what);
  assert.match(cases['an e-mail address'][1].said.description, /changes hands/);

  const strangers = {
    'no authorization': await post('default', right, { authorization: '' }),
    'a wrong token': await post('default', right, { authorization: 'Bearer wrong' }),
    "the other tenant's token": await post('default', right, { authorization: `Bearer ${pushTokens.acme}` }),
    'the token of polls': await post('default', right, { authorization: `Bearer ${polled.token}` }),
    'a provider that is not there': await post('default', right, { idp: 'nothing' }),
  };
  for (const [what, res] of Object.entries(strangers)) refused(res, 'authentication_failed', what);
  assert.equal(new Set(Object.values(strangers).map((r) => r.text)).size, 1, 'whatever is wrong, the answer is one');
  assert.equal((await post('nowhere', right, { authorization: `Bearer ${pushTokens.default}` })).status, 404);
  assert.equal((await fetch(audience('default'))).status, 405);

  // To the other tenant, whose person of that name is somebody else: right for it or not.
  await loggedIn('firm-acme', dana, { tenant: 'acme' });
  refused(await post('acme', right), 'invalid_key', "at the other tenant's URL");
  refused(await post('acme', polled.sign(claims({ ...subject, iss: polled.issuer }))), 'invalid_audience', 'for us, at the other');
  assert.equal((await post('acme', polled.sign(claims({ iss: polled.issuer, aud: 'acme', sub_id: sub_id(person('nobody'), 'acme') })))).status, 202);
  await lives('firm-acme', 'acme');
  await lives('firm');
  assert.equal((await w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(205)'")).length, 1);

  // Other events are acknowledged and end nothing; so does what came before this sign-in.
  await told({ sub_id: { format: 'opaque', id: 'stream' }, events: { [`${SSF}/verification`]: { state: 'x' } } });
  await told({ sub_id: { format: 'opaque', id: 'stream' }, events: { [`${SSF}/stream-updated`]: { status: 'paused' } } });
  await told({ ...subject, events: { [`${CAEP}/assurance-level-change`]: { namespace: 'NIST-AAL', current_level: 'nist-aal1' } } });
  await told({ ...subject, events: revoked({ event_timestamp: now() - 3600 }) });
  await lives('firm');

  // By the token that is about to go, the truth; the other tenant's login of that name lives on.
  const truth = await post('default', right, { authorization: pushTokens.old });
  assert.equal(truth.status, 202, truth.text);
  assert.notEqual((await goes.ended).code, 0);
  await over('firm');
  await lives('firm-acme', 'acme');
  await noRoles();
});

/** Runs `signal` while a sign-in of somebody who is signed in is at the provider's token endpoint. */
async function during(signal, { tenant = 'default' } = {}) {
  const op = tenant === 'acme' ? acmeOp : w.op;
  const sub = person('late');
  const browser = new Browser();
  const { sid } = await loggedIn('first', sub, { tenant, browser });
  let reach, go;
  const reached = new Promise((r) => { reach = r; }), open = new Promise((r) => { go = r; });
  op.guard = async (req) => { if (req.method === 'POST' && req.url === '/token') { reach(); await open; } };
  try {
    const second = login('second', sub, { tenant, browser });
    await Promise.race([reached, second.then((done) => { throw new Error(`not held: ${done.err}${done.page?.body}`); })]);
    await signal({ sub, sid });
    op.guard = undefined;
    go();
    const done = await second;
    assert.notEqual(done.code, 0, 'signed in');
    assert.match(done.page.body, /login\.signed_out/);
    await over('first', tenant);
    assert.notEqual((await status('second', tenant)).code, 0);
  } finally {
    op.guard = undefined;
    go();
  }
}

test('an event during a sign-in leaves no login', async () => {
  const events = () => revoked({ event_timestamp: now() });
  await during(({ sub }) => told({ sub_id: sub_id(sub), events: events() }));
  await during(({ sid }) => told({ sub_id: { format: 'opaque', id: sid }, events: events() }));
  await during(({ sub }) => told({ sub_id: sub_id(sub), events: changed('update', { event_timestamp: now() }) }));
});

const acmeClaims = (sub, change) => claims({ iss: polled.issuer, aud: 'acme', sub_id: sub_id(sub, 'acme'), ...change });
const acknowledged = (jti) => until(() => polled.acked.includes(jti), `the acknowledgement of ${jti}`);

test('events are polled, recorded and then acknowledged; what is wrong is told and goes', async () => {
  const [dana, sam] = [person('dana'), person('sam')];
  await loggedIn('polled', dana, { tenant: 'acme' });
  await loggedIn('polled-sam', sam, { tenant: 'acme' });
  await loggedIn('elsewhere', dana);
  const wrong = {
    invalid_audience: await polled.enqueue(acmeClaims(dana, { aud: audience('default') })),
    invalid_issuer: await polled.enqueue(acmeClaims(dana, { iss: pushes.issuer })),
    access_denied: await polled.enqueue(acmeClaims(dana, { sub_id: sub_id(dana) })),
    invalid_key: await polled.enqueue(acmeClaims(dana), { key: pushes.keys.privateKey, kid: pushes.kid }),
    invalid_request: await polled.enqueue(acmeClaims(dana, { sub_id: { format: 'email', email: 'dana@example.test' } })),
  };
  const another = acmeClaims(dana);
  polled.queue.set('listed-under-another-name', await polled.sign(another));
  const idle = await polled.enqueue(acmeClaims(dana, { events: { [`${SSF}/verification`]: {} } }));
  await acknowledged(idle);
  for (const [err, jti] of Object.entries(wrong)) {
    await until(() => polled.errors[jti], `the error ${err}`);
    assert.equal(polled.errors[jti].err, err);
  }
  await until(() => polled.errors['listed-under-another-name'], 'the error of the other name');
  await lives('polled', 'acme');

  // More than one poll holds, the last of which counts.
  for (let i = 0; i < 40; i += 1) await polled.enqueue(acmeClaims(person('nobody')));
  const last = await polled.enqueue(acmeClaims(dana));
  await ends('polled', 'acme');
  await acknowledged(last);
  await until(() => polled.queue.size === 0, 'an empty queue');
  await lives('polled-sam', 'acme');
  await lives('elsewhere');

  // A transmitter that hears no acknowledgement tells it again and again: that ends nobody who signed in since.
  polled.deaf = true;
  const again = await polled.enqueue(acmeClaims(sam, { events: changed('update') }));
  await ends('polled-sam', 'acme');
  await loggedIn('polled-sam', sam, { tenant: 'acme' });
  for (let i = 0; i < 2; i += 1) await once(polled, 'told');
  await lives('polled-sam', 'acme');
  polled.deaf = false;
  await acknowledged(again);
});

test('a polled event during a sign-in leaves no login', async () => {
  await during(async ({ sub }) => acknowledged(await polled.enqueue(acmeClaims(sub, { events: revoked({ event_timestamp: now() }) }))), { tenant: 'acme' });
});

test('what was told and not acknowledged is told again after SIGKILL, and holds', async () => {
  const dana = person('dana');
  await loggedIn('killed', dana, { tenant: 'acme' });
  const jti = await polled.enqueue(acmeClaims(dana));
  let sent;
  do [sent] = await once(polled, 'told'); while (!sent.includes(jti));
  w.server.kill('SIGKILL');
  await once(w.server, 'exit');
  await w.startServer();
  await ends('killed', 'acme');
  await acknowledged(jti);
});

/**
 * Does `step` until it has once come to its end while the poll that hung when it began still hung: what waits for polls never
 * does that. How long anything takes is not asked; a busy machine needs more than one go. `after` ends each go.
 */
async function besideOnePoll({ prepare, step, after }) {
  for (let first = true; ; first = false) {
    const ready = await prepare();
    if (!first) polled.server.closeAllConnections();
    const poll = first && polled.hanging ? polled.hanging : (await once(polled, 'hung'))[0];
    await step(ready);
    const beside = polled.hanging === poll;
    await after(ready);
    if (beside) return;
  }
}

test('a transmitter that hangs holds up no sign-in, no push and no logout, and is polled again', async () => {
  await loggedIn('polled-for', person('dana'), { tenant: 'acme' });
  polled.hangs = true;
  await once(polled, 'hung');
  try {
    // From the provider's page to the question for tokens, which is the server's.
    await besideOnePoll({
      prepare: async () => {
        let reach, go;
        const reached = new Promise((r) => { reach = r; }), open = new Promise((r) => { go = r; });
        acmeOp.guard = async (req) => { if (req.url.startsWith('/auth')) { reach(); await open; } };
        const done = login('beside', person('beside'), { tenant: 'acme' });
        await Promise.race([reached, done.then((d) => { throw new Error(`not held: ${d.err}${d.page?.body}`); })]);
        return { go, done };
      },
      step: ({ go, done }) => {
        const asked = new Promise((r) => { acmeOp.guard = async (req) => { if (req.url === '/token') r(); }; });
        go();
        return Promise.race([asked, done]);
      },
      after: async ({ done }) => { const d = await done; assert.equal(d.code, 0, d.err + d.page?.body); },
    });
    acmeOp.guard = undefined;
    await besideOnePoll({
      prepare: async () => {
        const sub = person('hung');
        await loggedIn('hung', sub, { tenant: 'acme' });
        return polled.sign(acmeClaims(sub));
      },
      step: async (set) => { const res = await post('acme', set); assert.equal(res.status, 202, res.text); },
      after: () => over('hung', 'acme'),
    });
    await besideOnePoll({
      prepare: async () => {
        const sub = person('other');
        await loggedIn('other', sub);
        return pushes.sign(claims({ sub_id: sub_id(sub) }));
      },
      step: async (set) => { const res = await post('default', set); assert.equal(res.status, 202, res.text); },
      after: () => over('other'),
    });
  } finally {
    acmeOp.guard = undefined;
    polled.hangs = false;
    polled.server.closeAllConnections();
  }
  await acknowledged(await polled.enqueue(acmeClaims(person('nobody'))));
});

test('the audit log tells each event, and neither it nor the log holds a token', async () => {
  const audit = await w.audit();
  const told_ = audit.filter((r) => r.action === 'signal.session_revoked' || r.action === 'signal.credential_change');
  const ended = audit.filter((r) => r.action === 'login.ended' && r.facts.reason === 'signal');
  assert.ok(ended.length > 0);
  assert.equal(ended.length, told_.reduce((sum, r) => sum + r.facts.sessions_ended, 0));
  assert.doesNotMatch(JSON.stringify(audit) + w.serverLog, /eyJ[A-Za-z0-9_-]{20}/);
  for (const secret of [...Object.values(pushTokens), polled.token]) assert.ok(!(JSON.stringify(audit) + w.serverLog).includes(secret));
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0);
});
