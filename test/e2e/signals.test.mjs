// Logouts that begin at the identity provider, through the real server: npm oidc-provider tells them by back-channel as
// "demo", npm samlp by the browser as "corp" and "post" (which takes answers by POST alone). Everything is awaited by its
// event; a sign-in is held at a step by the browser's `before` and the provider's `guard`.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createVerify, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { inflateRawSync } from 'node:zlib';
import * as jose from 'jose';
import { CertifiedOp, PlainOp, World, people, until } from './harness.mjs';
import { Browser, signIn } from './browser.mjs';
import { bindings, certificateOf, keyPair, persistent } from './idps/parts.mjs';
import { start as startSamlp } from './idps/samlp.mjs';
import { canonical } from './hostile/saml/c14n.mjs';
import { SAML, SAMLP, escape } from './hostile/saml/forge.mjs';
import { elements, parse } from './hostile/saml/sign.mjs';
import { enveloped as envelop, instant, query as signedQuery } from './saml_messages.mjs';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

class SignallingOp extends CertifiedOp {
  async rotate() {
    this.backchannel = this.redirects?.[0].replace(/callback$/, 'logout');
    this.idTokens = [];
    await super.rotate();
    this.provider.on('grant.success', (ctx) => this.idTokens.push(ctx.body.id_token));
  }
}

const users = ['dana', 'sam'].map((name) => ({ name, password: `password of ${name}`, attributes: { department: 'data' }, groups: ['data'] }));
const policies = `@id("demo") @duration("1h") @idle("10m")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("corp") @duration("1h") @idle("10m")
permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");
`;

let w, corp, corpKeys, strangerKeys, other;
const sps = {};
const mute = createServer(() => {});  // takes requests and says nothing
before(async () => {
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  w = await World.start({
    op: SignallingOp, policies, host: 'localhost',
    prepare: async (world) => {
      const { key, cert } = keyPair(world.folder, 'sp');
      world.write('sp.pem', key + cert);
      for (const name of ['corp', 'post']) {
        const base = `${world.url}/t/default/idp/${name}`;
        sps[name] = { entityId: `${base}/metadata`, acs: `${base}/callback`, slo: `${base}/logout`, cert };
      }
      corp = await startSamlp({ scratch: world.folder, sps: Object.values(sps), users });
      corpKeys = keyPair(world.folder, 'corp');
      strangerKeys = keyPair(world.folder, 'stranger');
      const { metadataXml } = await corp.rotate(corpKeys);
      world.write('corp.xml', metadataXml);
      world.write('post.xml', metadataXml.replace(/<(\w+:)?SingleLogoutService[^>]*HTTP-Redirect[^>]*?(\/>|>[^<]*<\/(\w+:)?SingleLogoutService>)/g, ''));
      for (const name of ['corp', 'post'])
        world.write(`tenant/${name}.toml`, `[[idp]]\nname = "${name}"\nprotocol = "saml"\nissuer = "${corp.entityId}"\nmetadata = "file:${world.folder}/${name}.xml"\nsp_keys = ["file:${world.folder}/sp.pem"]\ngroups = "groups"\n[idp.attributes]\ndepartment = "department"\n`);
    },
  });
  other = await PlainOp.start();
  w.write('other-secret', `${other.secret}\n`);
  w.write('acme/tenant.toml', `[[idp]]\nname = "demo"\nissuer = "${other.issuer}"\nclient_id = "daypass"\nclient_secret = "file:${w.folder}/other-secret"\n`);
  w.write('acme/mute.toml', `[[idp]]\nname = "mute"\nissuer = "http://127.0.0.1:${mute.address().port}"\nclient_id = "daypass"\nclient_secret = "file:${w.folder}/other-secret"\n`);
  w.write('acme/policies/main.cedar', '@id("nobody") forbid(principal, action, resource);\n');
  for (const args of [['tenants', 'create', 'acme'], ['apply', `${w.folder}/acme`, '--tenant', 'acme', '--yes']]) {
    const done = await w.cli('operator', args);
    assert.equal(done.code, 0, done.err);
  }
});
after(async () => { await w?.stop(); await corp?.stop(); await other?.stop(); mute.closeAllConnections(); mute.close(); });

const now = () => Math.floor(Date.now() / 1000);
const json = async (...args) => { const done = await w.cli(...args); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const sessions = async (principal) => (await json('operator', ['sessions', 'ls', '-o', 'json'])).sessions.filter((s) => s.principal === principal);
const check = (page) => page?.body.match(/Check <code>([^<]+)<\/code>/)?.[1] ?? `none: ${page?.status} ${page?.body}`;
const over = async (home) => {
  const status = await w.cli(home, ['status']);
  assert.equal(status.code, 4, `${home}: ${status.out}${status.err}`);
  assert.match(status.err, /login has ended/);
};
const lives = async (home) => assert.equal((await w.cli(home, ['status'])).code, 0, `the login of ${home} lives on`);
const noRoles = () => until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');

/** A person of the OpenID provider whom no other test has. */
let count = 0;
function person(name) {
  const sub = `${name}-${count += 1}`;
  people[sub] = { sub, name, groups: ['data'], department: 'data' };
  return sub;
}

/** `daypass login` as `sub` of "demo", of the command line of `home`; the provider remembers its browser. */
async function login(home, sub, browser = new Browser()) {
  const done = await w.login(home, { args: ['--idp', 'demo'], visit: (url) => { w.op.next = sub; return browser.open(url); } });
  return { ...done, browser };
}
async function loggedIn(home, sub, browser) {
  const done = await login(home, sub, browser);
  assert.equal(done.code, 0, done.err + done.page?.body);
  return { ...done, claims: jose.decodeJwt(w.op.idTokens.at(-1)), idToken: w.op.idTokens.at(-1) };
}
/** psql that runs until it is cut; it is running when this comes back. `ended` is what it says at the end. */
async function running(home, seconds) {
  const query = `SELECT pg_sleep(${seconds})`;
  const ended = w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', '-c', query]);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE query = '${query}'`)).length === 1, `the query of ${home}`);
  return { ended };
}
/** Signs out at the OpenID provider's end_session endpoint; what its call to us came to. */
async function endSession(browser) {
  const told = new Promise((resolve) => {
    const no = (ctx, error) => { w.op.provider.off('backchannel.success', yes); resolve({ error }); };
    const yes = (ctx, client, sub, sid) => { w.op.provider.off('backchannel.error', no); resolve({ sub, sid }); };
    w.op.provider.once('backchannel.success', yes).once('backchannel.error', no);
  });
  const page = await browser.open(`${w.op.issuer}/session/end`);
  const done = await browser.submit(page.forms[0], { logout: 'yes' });
  assert.ok(done.ok, done.body);
  const result = await told;
  assert.equal(result.error, undefined);
  return result;
}

const logoutUrl = (tenant, idp = 'demo') => `${w.url}/t/${tenant}/idp/${idp}/logout`;
/** Logout tokens as the provider of "demo" makes them, but for `change`. */
function logoutToken(change, { key = w.op.signing, alg = 'ES256', typ = 'logout+jwt' } = {}) {
  const claims = { iss: w.op.issuer, aud: 'daypass', iat: now(), exp: now() + 120, jti: randomBytes(12).toString('hex'), events: { [EVENT]: {} }, ...change };
  return new jose.SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader({ alg, kid: key.kid, ...(typ && { typ }) }).sign(key.privateKey);
}
/** How a token of the provider in tenant "acme" is signed. */
const others = () => ({ key: { privateKey: other.keys.privateKey, kid: 'k1' }, alg: 'RS256' });
async function post(url, fields) {
  const res = await fetch(url, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' });
  const text = await res.text();
  return { status: res.status, headers: res.headers, text, ...(res.headers.get('content-type')?.startsWith('application/json') && { said: JSON.parse(text) }) };
}
const tell = async (token, tenant = 'default') => post(logoutUrl(tenant), { logout_token: await token });
async function told(token) {
  const res = await tell(token);
  assert.equal(res.status, 200, res.text);
  assert.equal(res.headers.get('cache-control'), 'no-store');
}
function refused(res, name, what) {
  assert.equal(res.status, 400, `${what ?? name}: ${res.text}`);
  assert.equal(res.said?.check, name, `${what ?? name}: ${res.text}`);
  assert.ok(['invalid_request', 'invalid_grant'].includes(res.said.error), res.text);
  assert.equal(res.headers.get('cache-control'), 'no-store');
}

test('a sign-out at the OpenID provider cuts psql with a sentence and ends that login alone', async () => {
  const [dana, sam] = [person('dana'), person('sam')];
  const here = await loggedIn('here', dana);
  const elsewhere = await loggedIn('elsewhere', dana);
  await loggedIn('sam', sam);
  assert.notEqual(here.claims.sid, elsewhere.claims.sid);
  const cut = await running('here', 101);
  const goes = await running('elsewhere', 102);
  const { sid } = await endSession(here.browser);
  assert.equal(sid, here.claims.sid);
  const psql = await cut.ended;
  assert.notEqual(psql.code, 0);
  assert.match(psql.err, /grant gr_\w+ on pg\/orders ended: the identity provider ended the session/);
  await over('here');
  await until(async () => (await w.pg.roles()).length === 1, 'the account of that login to be gone');
  assert.equal((await w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(102)'")).length, 1);
  await lives('elsewhere');
  await lives('sam');
  const [record] = (await w.audit()).filter((r) => r.action === 'signal.logout');
  assert.deepEqual([record.object, record.facts.sessions_ended], ['demo', 1]);
  // Who signs in again is signed in again, in the same browser.
  await loggedIn('here', dana, here.browser);
  await lives('here');
  await endSession(elsewhere.browser);
  assert.notEqual((await goes.ended).code, 0);
  await lives('here');
  await noRoles();
});

test('a sign-out that names no session ends every login of the person, and of nobody else', async (t) => {
  const [dana, sam] = [person('dana'), person('sam')];
  const first = await loggedIn('one', dana);
  await loggedIn('two', dana);
  await loggedIn('sam', sam);
  const cuts = [await running('one', 103), await running('two', 104)];
  const client = await w.op.provider.Client.find('daypass');
  client.backchannelLogoutSessionRequired = false;
  t.after(() => { client.backchannelLogoutSessionRequired = true; });
  await endSession(first.browser);
  for (const cut of cuts) assert.match((await cut.ended).err, /grant gr_\w+ on pg\/orders ended: the identity provider ended the session/);
  await over('one');
  await over('two');
  await lives('sam');
  await noRoles();
});

test('a logout token that is not right is refused by its check, and ends nothing', async () => {
  const dana = person('dana');
  const { claims, idToken } = await loggedIn('firm', dana);
  const { sub, sid } = claims;
  const goes = await running('firm', 105);
  const wrong = {
    aud: ['logout_token.aud', { sub, aud: 'somebody' }], 'aud of others too': ['logout_token.azp', { sub, aud: ['daypass', 'somebody'] }], iss: ['logout_token.iss', { sub, iss: 'http://127.0.0.1:1' }],
    nonce: ['logout_token.nonce', { sub, sid, nonce: claims.nonce }], 'no events': ['logout_token.events', { sub, events: undefined }], 'another event': ['logout_token.events', { sub, events: { 'urn:other': {} } }],
    'an event that is no object': ['logout_token.events', { sub, events: { [EVENT]: true } }], expired: ['logout_token.exp', { sub, iat: now() - 600, exp: now() - 300 }], 'no exp': ['logout_token.exp_missing', { sub, exp: undefined }],
    'no iat': ['logout_token.iat_missing', { sub, iat: undefined }], 'of the future': ['logout_token.iat', { sub, iat: now() + 600, exp: now() + 700 }], 'no jti': ['logout_token.jti', { sub, jti: undefined }],
    nobody: ['logout_token.subject', {}], 'an empty sid': ['logout_token.sid', { sub, sid: '' }], 'sub is a list': ['logout_token.sub', { sub: [sub] }],
  };
  for (const [what, [name, change]] of Object.entries(wrong)) refused(await tell(logoutToken(change)), name, what);
  refused(await tell(logoutToken({ sub }, { typ: 'at+jwt' })), 'logout_token.typ');
  refused(await tell(idToken), 'logout_token.nonce', 'an ID token');
  const { privateKey } = await jose.generateKeyPair('ES256');
  refused(await tell(logoutToken({ sub }, { key: { privateKey, kid: w.op.signing.kid } })), 'jws.signature');
  const [header, payload] = (await logoutToken({ sub })).split('.');
  refused(await tell(`${header}.${payload}.`), 'jws.signature', 'no signature');
  refused(await tell(`${jose.base64url.encode('{"alg":"none"}')}.${payload}.`), 'jws.alg_not_allowed');
  const token = await logoutToken({ sub });
  refused(await post(logoutUrl('default'), [['logout_token', token], ['logout_token', token]]), 'http.form_duplicate');
  refused(await post(logoutUrl('default'), { token }), 'logout_token.missing');
  const got = await fetch(`${logoutUrl('default')}?logout_token=${token}`);
  assert.deepEqual([got.status, (await got.json()).check], [400, 'logout_token.missing']);

  // Of another tenant's provider, which has the same name there.
  const theirs = others();
  refused(await tell(logoutToken({ sub }, theirs)), 'jws.kid_unknown', "the other provider's key");
  refused(await tell(logoutToken({ sub }), 'acme'), 'jws.kid_unknown', "at the other tenant's URL");
  refused(await tell(logoutToken({ sub, iss: w.op.issuer }, theirs), 'acme'), 'logout_token.iss');
  assert.equal((await tell(logoutToken({ sub, sid, iss: other.issuer }, theirs), 'acme')).status, 200, 'right there, and means nobody here');
  assert.equal((await post(logoutUrl('nowhere'), { logout_token: token })).status, 404);
  assert.equal((await post(logoutUrl('default', 'nothing'), { logout_token: token })).status, 404);

  await lives('firm');
  assert.equal((await w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(105)'")).length, 1);
  // The truth ends it; told again it is refused, and what was signed in since lives on.
  const truth = await logoutToken({ sub, sid });
  await told(truth);
  assert.notEqual((await goes.ended).code, 0);
  await over('firm');
  await loggedIn('firm', dana);
  refused(await tell(truth), 'signal.replayed');
  await lives('firm');
  await noRoles();
});

/** Something held at a step: `reached` comes when it is there, `go()` lets it go on. */
function hold() {
  let reach, go;
  const reached = new Promise((r) => { reach = r; });
  const open = new Promise((r) => { go = r; });
  return { reached, go, stop: () => { reach(); return open; } };
}
// How each step of a sign-in is held. `at` is called once for the step and gets the hold.
const atBrowser = (matches) => (h, browser) => { browser.before = async (url) => { if (matches(url)) await h.stop(); }; };
const isStep = (req, path) => (path === '/token' ? req.method === 'POST' : true) && new URL(req.url, 'http://op').pathname === path;
const atRequest = (path) => (h) => { w.op.guard = async (req) => { if (isStep(req, path)) await h.stop(); }; };
const atAnswer = (path) => (h) => {
  w.op.guard = async (req, res) => {
    if (!isStep(req, path)) return;
    const end = res.end.bind(res);
    res.end = (...args) => { h.stop().then(() => end(...args)); return res; };
  };
};
const steps = {
  'it has begun': atBrowser((url) => url.startsWith(`${w.op.issuer}/auth?`)),
  'the provider has it': atAnswer('/auth'),
  'the code is on its way': atBrowser((url) => url.startsWith(`${w.url}/t/default/idp/demo/callback`)),
  'the code is at the provider': atRequest('/token'),
  'the ID token is on its way': atAnswer('/token'),
  "the command line's code is on its way": atBrowser((url) => /^http:\/\/127\.0\.0\.1:\d+\/callback/.test(url) && !url.startsWith(w.op.issuer)),
};
/**
 * A person with a login signs in again in the same browser; while that is held at `step`, `signal` happens. Neither login
 * may be there at the end.
 */
async function during(step, signal) {
  const sub = person('late');
  const browser = new Browser();
  const { claims } = await loggedIn('first', sub, browser);
  const h = hold();
  steps[step](h, browser);
  try {
    const second = login('second', sub, browser);
    await Promise.race([h.reached, second.then((done) => { throw new Error(`not held: ${done.err}${done.page?.body}`); })]);
    const aside = new Browser();
    aside.jar = browser.jar;
    const guard = w.op.guard;
    w.op.guard = undefined;
    await signal({ sub, sid: claims.sid, browser: aside });
    w.op.guard = guard;
    h.go();
    const done = await second;
    await over('first');
    assert.notEqual(done.code, 0, `${step}: signed in`);
    assert.deepEqual(await sessions(`demo/${sub}`), [], step);
    assert.notEqual((await w.cli('second', ['status'])).code, 0);
    return done;
  } finally {
    h.go();
    w.op.guard = undefined;
  }
}
const signals = {
  'the session': ({ sid, sub }) => told(logoutToken({ sid, sub })),
  'the session without the person': ({ sid }) => told(logoutToken({ sid })),
  'the person': ({ sub }) => told(logoutToken({ sub })),
};
for (const [what, signal] of Object.entries(signals)) {
  test(`a logout of ${what} at each step of a sign-in leaves no login`, { timeout: 60000 }, async () => {
    for (const step of Object.keys(steps)) {
      const done = await during(step, signal);
      if (step.startsWith('the command line')) assert.match(done.err, /login has ended/);
      else assert.deepEqual([done.page.status, check(done.page)], [403, 'login.signed_out'], step);
    }
  });
}
test('a sign-out at the provider, late in a sign-in, leaves no login', async () => {
  for (const [step, name] of Object.entries({ 'the code is on its way': 'token_endpoint.refused', 'the ID token is on its way': 'login.signed_out' }))
    assert.equal(check((await during(step, ({ browser }) => endSession(browser))).page), name, step);
  assert.match((await during("the command line's code is on its way", ({ browser }) => endSession(browser))).err, /login has ended/);
});

test('a logout after a device was signed in, and before it has asked, leaves no login', async () => {
  const sub = person('device');
  const api = (path, fields) => post(`${w.url}/t/default/oauth/${path}`, { client_id: 'daypass-cli', ...fields });
  const { said: started } = await api('device_authorization', {});
  const browser = new Browser();
  await browser.open(started.verification_uri);
  w.op.next = sub;
  const page = await browser.submit(browser.page.forms[0], { user_code: started.user_code, idp: 'demo' });
  assert.match(page.body, /Signed in as/);
  assert.equal((await sessions(`demo/${sub}`)).length, 1);
  await told(logoutToken({ sub }));
  const polled = await api('token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: started.device_code });
  assert.deepEqual([polled.status, polled.said.check], [400, 'token.session']);
  assert.deepEqual(await sessions(`demo/${sub}`), []);
});

test('a logout while the code is at a provider that says neither session nor time of sign-in leaves no login', async (t) => {
  const serve = other.serve.bind(other);
  const h = hold();
  t.after(() => { h.go(); other.serve = serve; });
  other.serve = async (req, res) => { if (req.url === '/token') await h.stop(); return serve(req, res); };
  const login = w.login('acme', { args: ['--tenant', 'acme', '--idp', 'demo'], visit: (url) => new Browser().open(url) });
  await h.reached;
  assert.equal((await tell(logoutToken({ sub: 'dana', iss: other.issuer }, others()), 'acme')).status, 200);
  const told_ = now();
  await until(() => now() > told_, 'the next second');
  h.go();
  const done = await login;
  assert.notEqual(done.code, 0, 'signed in');
  assert.equal(check(done.page), 'login.signed_out');
});

test('a provider that is mute does not delay the logouts of another in its tenant', async () => {
  const query_ = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), idp: 'mute' });
  const asked = once(mute, 'request');
  // More than the tenant's share of threads; nobody has to be signed in to begin a sign-in.
  const begun = Array.from({ length: 20 }, () => fetch(`${w.url}/t/acme/oauth/authorize?${query_}`, { redirect: 'manual' }).then((r) => r.arrayBuffer(), () => {}));
  await asked;
  try {
    // oidc-provider waits for 2.5 s, and does not tell it again.
    const res = await fetch(logoutUrl('acme'), { method: 'POST', signal: AbortSignal.timeout(2500), body: new URLSearchParams({ logout_token: await logoutToken({ sub: 'dana', iss: other.issuer }, others()) }) });
    assert.equal(res.status, 200);
  } finally {
    mute.on('request', (req, res) => res.destroy());
    mute.closeAllConnections();
    await Promise.all(begun);
  }
});

test('what was acknowledged holds after SIGKILL, for logins, for those under way and for the account', async () => {
  const sub = person('killed');
  const browser = new Browser();
  const { claims } = await loggedIn('killed', sub, browser);
  const cut = await running('killed', 106);
  const h = hold();
  steps['the code is on its way'](h, browser);
  const second = login('again', sub, browser);
  await h.reached;
  const token = await logoutToken({ sub, sid: claims.sid });
  const res = await fetch(logoutUrl('default'), { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  w.server.kill('SIGKILL');
  assert.equal(res.status, 200);
  await once(w.server, 'exit');
  assert.notEqual((await cut.ended).code, 0);
  await w.startServer();
  await over('killed');
  h.go();
  assert.equal(check((await second).page), 'login.signed_out');
  assert.deepEqual(await sessions(`demo/${sub}`), []);
  refused(await tell(token), 'signal.replayed');
  await noRoles();
});

/** `daypass login --idp NAME` as `user` of the SAML provider. */
async function samlLogin(home, user, { idp = 'corp', browser = new Browser() } = {}) {
  const done = await w.login(home, { args: ['--idp', idp], visit: (url) => signIn(browser, url, user) });
  assert.equal(done.code, 0, done.err + done.page?.body);
  const fields = browser.sent.findLast((s) => s.url === sps[idp].acs && s.fields?.SAMLResponse).fields;
  const xml = Buffer.from(fields.SAMLResponse, 'base64').toString();
  return { browser, index: xml.match(/SessionIndex="([^"]+)"/)[1], idp };
}
/** Lets pages post what they carry until there is nothing left to do. */
async function carried(browser, page) {
  for (let i = 0; i < 8; i += 1) {
    const form = page.forms.find((f) => 'SAMLRequest' in f.fields || 'SAMLResponse' in f.fields);
    if (!form) return page;
    page = await browser.submit(form);
  }
  throw new Error('carried around in circles');
}
/** A LogoutRequest's text; it is signed by whoever sends it. */
function logoutRequest({ name = 'dana', indexes = [], idp = 'corp', id = `_${randomBytes(16).toString('hex')}`, issuer = corp.entityId, destination = sps[idp].slo, issued = instant(), until: end } = {}) {
  return `<samlp:LogoutRequest xmlns:samlp="${SAMLP}" xmlns:saml="${SAML}" ID="${id}" Version="2.0" IssueInstant="${issued}" Destination="${escape(destination)}"${end ? ` NotOnOrAfter="${end}"` : ''}>`
    + `<saml:Issuer>${escape(issuer)}</saml:Issuer><saml:NameID Format="${persistent}">${escape(name)}</saml:NameID>${indexes.map((i) => `<samlp:SessionIndex>${escape(i)}</samlp:SessionIndex>`).join('')}</samlp:LogoutRequest>`;
}
const enveloped = (xml, keys = corpKeys) => envelop(xml, keys);
const sendPost = (xml, { idp = 'corp', relay } = {}) => post(sps[idp].slo, { SAMLRequest: Buffer.from(xml).toString('base64'), ...(relay && { RelayState: relay }) });
const query = (xml, { keys = corpKeys, ...more } = {}) => signedQuery(xml, { keys, ...more });
async function sendRedirect(text, idp = 'corp') {
  const res = await fetch(`${sps[idp].slo}?${text}`, { redirect: 'manual' });
  const body = await res.text();
  return { status: res.status, headers: res.headers, text: body, ...(body.startsWith('{') && { said: JSON.parse(body) }) };
}
/** What a LogoutResponse says, when the signature of its query or of the document holds. */
function answered({ headers, text, status }) {
  const says = (xml) => {
    const root = parse(xml).documentElement;
    assert.equal(root.localName, 'LogoutResponse');
    return { to: root.getAttribute('InResponseTo'), destination: root.getAttribute('Destination'), status: [...elements(root)].find((e) => e.localName === 'StatusCode').getAttribute('Value') };
  };
  if (status < 400 && headers.get('location')) {
    const url = new URL(headers.get('location'));
    const [octets, signature] = url.search.slice(1).split('&Signature=');
    assert.ok(createVerify('sha256').update(octets).verify(sps.corp.cert, decodeURIComponent(signature), 'base64'), 'the signature of the query');
    return { binding: 'redirect', url: url.origin + url.pathname, relay: url.searchParams.get('RelayState'), ...says(inflateRawSync(Buffer.from(url.searchParams.get('SAMLResponse'), 'base64')).toString()) };
  }
  assert.equal(status, 200, text);
  const field = (name) => text.match(new RegExp(`name="${name}" value="([^"]*)"`))?.[1].replaceAll('&#43;', '+');
  const xml = Buffer.from(field('SAMLResponse'), 'base64').toString();
  const all = [...elements(parse(xml))];
  const info = all.find((e) => e.localName === 'SignedInfo');
  assert.ok(createVerify('sha256').update(canonical(info)).verify(sps.corp.cert, all.find((e) => e.localName === 'SignatureValue').textContent, 'base64'), 'the signature of the document');
  return { binding: 'post', url: text.match(/<form[^>]* action="([^"]+)"/)[1], relay: field('RelayState'), ...says(xml) };
}

test('our metadata lists the logout URL, by redirect and by POST', async () => {
  const document = parse(await (await fetch(sps.corp.entityId)).text());
  const found = [...elements(document)].filter((e) => e.localName === 'SingleLogoutService').map((e) => [e.getAttribute('Binding'), e.getAttribute('Location')]);
  assert.deepEqual(found.sort(), [[bindings.post, sps.corp.slo], [bindings.redirect, sps.corp.slo]].sort());
  assert.equal(certificateOf(await (await fetch(sps.corp.entityId)).text()), sps.corp.cert);
});

for (const binding of ['redirect', 'post']) {
  test(`a sign-out at the SAML provider, by ${binding}, ends its session at each service and cuts psql`, async () => {
    const [dana, sam] = users;
    const here = await samlLogin('corp-here', dana);
    // The provider remembers the browser: one session there, two service providers.
    await samlLogin('post-here', dana, { idp: 'post', browser: here.browser });
    await samlLogin('corp-elsewhere', dana);
    await samlLogin('corp-sam', sam);
    const cut = await running('corp-here', 107);
    const from = here.browser.sent.length;
    const end = await carried(here.browser, await here.browser.open(`${corp.origin}/logout?binding=${binding}`));
    assert.equal(end.status, 200, end.body);
    assert.ok(end.url.startsWith(corp.origin), 'the provider took both answers, whose signatures it checks');
    assert.equal((await (await fetch(`${corp.origin}/logout`)).text()), 'refused: no session to end');
    const visits = here.browser.sent.slice(from).filter((s) => Object.values(sps).some((sp) => s.url.startsWith(sp.slo)));
    // What comes after our first answer goes by the provider's default, which is the redirect.
    assert.deepEqual(visits.map((s) => s.method), [binding === 'post' ? 'POST' : 'GET', 'GET']);
    const answers = here.browser.sent.slice(from).filter((s) => s.url.startsWith(`${corp.origin}/logout`)).slice(1);
    assert.deepEqual(answers.map((s) => s.method), ['GET', 'POST'], '"corp" takes answers by redirect, "post" by POST');
    assert.match((await cut.ended).err, /grant gr_\w+ on pg\/orders ended: the identity provider ended the session/);
    await over('corp-here');
    await over('post-here');
    await lives('corp-elsewhere');
    await lives('corp-sam');
    await noRoles();
  });
}

test('a LogoutRequest that is not right is refused by its check, and ends nothing', async () => {
  const { index } = await samlLogin('saml-firm', users[0]);
  const right = { indexes: [index] };
  const cases = {
    'xmldsig.signature': [right, strangerKeys],
    'saml.logout_expired': [{ ...right, issued: instant(-360) }], 'saml.logout_issuer': [{ ...right, issuer: 'https://idp.example/other' }], 'saml.logout_destination': [{ ...right, destination: sps.post.slo }],
  };
  for (const [name, [change, keys]] of Object.entries(cases)) {
    refused(await sendPost(enveloped(logoutRequest(change), keys)), name, `${name} by POST`);
    refused(await sendRedirect(query(logoutRequest(change), { keys: keys ?? corpKeys })), name, `${name} by redirect`);
  }
  for (const change of [{ issued: instant(600) }, { until: instant(-300) }]) refused(await sendPost(enveloped(logoutRequest({ ...right, ...change }))), 'saml.logout_expired');
  refused(await sendPost(logoutRequest(right)), 'xmldsig.missing', 'unsigned by POST');
  refused(await sendRedirect(query(logoutRequest(right), { keys: null })), 'saml.unsigned', 'unsigned by redirect');
  // By redirect the query is signed, and a signature inside says nothing.
  refused(await sendRedirect(query(enveloped(logoutRequest(right)), { keys: null })), 'saml.unsigned');
  const text = query(logoutRequest(right), { relay: 'r1' });
  refused(await sendRedirect(text.replace('RelayState=r1', 'RelayState=r2')), 'xmldsig.signature', 'another RelayState');
  refused(await sendRedirect(`${text}&SAMLRequest=${text.match(/SAMLRequest=([^&]+)/)[1]}`), 'saml.duplicate_parameter');
  refused(await sendPost(enveloped(logoutRequest(right)).replace(index, '_another')), 'xmldsig.digest', 'changed after it was signed');
  await lives('saml-firm');

  // The truth, and again: once by each binding, the ID counts for both.
  const xml = logoutRequest(right);
  const first = answered(await sendRedirect(query(xml, { relay: 'where we were' })));
  assert.deepEqual(first, { binding: 'redirect', url: `${corp.origin}/logout`, relay: 'where we were', to: xml.match(/ ID="([^"]+)"/)[1], destination: `${corp.origin}/logout`, status: 'urn:oasis:names:tc:SAML:2.0:status:Success' });
  await over('saml-firm');
  await samlLogin('saml-firm', users[0]);
  refused(await sendRedirect(query(xml)), 'signal.replayed', 'again by redirect');
  refused(await sendPost(enveloped(xml)), 'signal.replayed', 'again by POST');
  await lives('saml-firm');

  // By POST to the provider that takes answers by POST: everybody of that name there, and nobody of the other provider.
  await samlLogin('post-firm', users[0], { idp: 'post' });
  await samlLogin('post-too', users[0], { idp: 'post' });
  const every = logoutRequest({ idp: 'post' });
  const second = answered(await sendPost(enveloped(every), { idp: 'post', relay: 'there' }));
  assert.deepEqual([second.binding, second.url, second.relay, second.to], ['post', `${corp.origin}/logout`, 'there', every.match(/ ID="([^"]+)"/)[1]]);
  await over('post-firm');
  await over('post-too');
  await lives('saml-firm');
});

test('a SessionIndex that others have had, or will have, ends and keeps out nobody else', async (t) => {
  // saml-core section 2.7.2: small numbers that recur, so that nobody is recognised by them.
  corp.options.sessionIndex = '7';
  t.after(() => { corp.options.sessionIndex = undefined; });
  const [dana, sam] = users;
  await samlLogin('dana-7', dana);
  await samlLogin('sam-7', sam);
  answered(await sendPost(enveloped(logoutRequest({ name: 'dana', indexes: ['7'] }))));
  await over('dana-7');
  await lives('sam-7');
  await samlLogin('sam-7-again', sam);
  await samlLogin('dana-7-again', dana);
});

test("a LogoutRequest while the provider's answer is on its way leaves no login", async () => {
  for (const name of [undefined, 'its session']) {
    const browser = new Browser();
    const { index } = await samlLogin('saml-late', users[1], { browser });
    const h = hold();
    browser.before = async (url) => { if (url === sps.corp.acs) await h.stop(); };
    const second = w.login('saml-later', { args: ['--idp', 'corp'], visit: (url) => signIn(browser, url, users[1]) });
    await h.reached;
    answered(await sendPost(enveloped(logoutRequest({ name: 'sam', indexes: name ? [index] : [] }))));
    h.go();
    const done = await second;
    assert.deepEqual([done.page.status, check(done.page)], [403, 'login.signed_out']);
    await over('saml-late');
    assert.notEqual((await w.cli('saml-later', ['status'])).code, 0);
  }
});

test('the audit log tells each logout, why each login ended, and holds no token', async () => {
  const audit = await w.audit();
  const ended = audit.filter((r) => r.action === 'login.ended' && r.facts.reason === 'signal');
  const counted = audit.filter((r) => r.action === 'signal.logout').reduce((sum, r) => sum + r.facts.sessions_ended, 0);
  assert.ok(ended.length > 0);
  assert.equal(ended.length, counted);
  assert.ok(audit.some((r) => r.action === 'login.failed' && r.facts.check === 'login.signed_out'));
  assert.doesNotMatch(JSON.stringify(audit) + w.serverLog, /eyJ[A-Za-z0-9_-]{20}|PHNhbWxwO|<saml/);
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0);
});
