// Sign-in by SAML through the real server: npm samlp as identity provider "corp", beside npm oidc-provider as "demo", both in
// one tenant. Daypass is called localhost and they 127.0.0.1, so that for the browser they are other sites.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, createVerify } from 'node:crypto';
import fs from 'node:fs';
import { World, until } from './harness.mjs';
import { Browser, signIn } from './browser.mjs';
import { bindings, certificateOf, keyPair, persistent } from './idps/parts.mjs';
import { start as startSamlp } from './idps/samlp.mjs';
import { canonical } from './hostile/saml/c14n.mjs';
import { algorithms, byId, digests, elements, ENVELOPED, EXCLUSIVE, parse } from './hostile/saml/sign.mjs';

const users = [
  { name: 'dana', password: 'password of dana', attributes: { department: 'data' }, groups: ['data', 'R&D <all>'] },
  { name: 'sam', password: 'password of sam', attributes: { department: 'support' }, groups: ['support'] },
];
const [dana, sam] = users;

// Whoever is in "data" at one provider may read, at the other write: both people are called dana.
const policies = `@id("corp-read") @duration("1h") @idle("10m")
permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("demo-write") @duration("1h") @idle("10m")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/writer");
`;

let w, corp, sp;
before(async () => {
  w = await World.start({
    policies, host: 'localhost',
    prepare: async (world) => {
      const base = `${world.url}/t/default/idp/corp`;
      const { key, cert } = keyPair(world.folder, 'sp');
      sp = { entityId: `${base}/metadata`, acs: `${base}/callback`, cert };
      corp = await startSamlp({ scratch: world.folder, sps: [sp], users });
      world.write('sp.pem', key + cert);
      world.write('corp.xml', corp.metadataXml);
      world.write('tenant/corp.toml', `[[idp]]\nname = "corp"\ndisplay = "Example Corp"\nprotocol = "saml"\nissuer = "${corp.entityId}"\nmetadata = "file:${world.folder}/corp.xml"\nsp_keys = ["file:${world.folder}/sp.pem"]\ngroups = "groups"\n[idp.attributes]\ndepartment = "department"\n`);
    },
  });
});
after(async () => { await w?.stop(); await corp?.stop(); });

/** `daypass login --idp corp` as `user`; `home` is whose command line it is. The browser's story comes back with it. */
async function corpLogin(home, user = dana, browser = new Browser()) {
  return { ...await w.login(home, { args: ['--idp', 'corp'], visit: (url) => signIn(browser, url, user) }), browser };
}
const json = async (...args) => { const done = await w.cli(...args); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const authorize = (idp) => `${w.url}/t/default/oauth/authorize?${new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), ...(idp && { idp }) })}`;
const answers = (page) => page.url.startsWith(corp.origin) && page.forms.some((f) => 'SAMLResponse' in f.fields);
/** A sign-in up to the provider's page that would post its answer: the form. */
const answerOf = async (browser, user = dana) => (await signIn(browser, authorize('corp'), user, answers)).forms[0];
const check = (page) => page.body.match(/Check <code>([^<]+)<\/code>/)?.[1] ?? `none: ${page.status} ${page.body}`;
/** Posts from the page that is shown, and lets our page post again. */
async function post(browser, form) {
  const page = await browser.submit(form);
  return page.posts ? browser.submit(page.forms[0]) : page;
}
const psql = (home, ...commands) => w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', ...commands.flatMap((c) => ['-c', c])]);

test("the metadata for the provider says where and with which key, and its signature holds", async () => {
  const res = await fetch(sp.entityId);
  assert.equal(res.status, 200);
  assert.equal(res.headers.get('content-type'), 'application/samlmetadata+xml');
  const xml = await res.text();
  const document = parse(xml);
  const all = (name) => [...elements(document.documentElement)].filter((e) => e.localName === name);
  const only = (name) => { const found = all(name); assert.equal(found.length, 1, name); return found[0]; };
  const root = document.documentElement;
  assert.equal(root.localName, 'EntityDescriptor');
  assert.equal(root.getAttribute('entityID'), sp.entityId);
  assert.ok(Date.parse(root.getAttribute('validUntil')) > Date.now());
  const acs = only('AssertionConsumerService');
  assert.deepEqual([acs.getAttribute('Binding'), acs.getAttribute('Location')], [bindings.post, sp.acs]);
  assert.equal(only('NameIDFormat').textContent, persistent);
  assert.deepEqual(all('KeyDescriptor').map((e) => e.getAttribute('use')), ['signing', 'encryption']);
  assert.equal(only('SPSSODescriptor').getAttribute('AuthnRequestsSigned'), 'true');
  assert.equal(certificateOf(xml), sp.cert);

  const signature = only('Signature');
  assert.equal(signature.parentNode, root);
  const reference = only('Reference');
  assert.equal(byId(document, reference.getAttribute('URI').slice(1)), root);
  assert.deepEqual(all('Transform').map((e) => e.getAttribute('Algorithm')), [ENVELOPED, EXCLUSIVE]);
  assert.equal(only('DigestMethod').getAttribute('Algorithm'), digests.sha256);
  assert.equal(only('SignatureMethod').getAttribute('Algorithm'), algorithms['rsa-sha256'].uri);
  const digest = createHash('sha256').update(canonical(root, { without: [signature] })).digest('base64');
  assert.equal(only('DigestValue').textContent, digest);
  assert.ok(createVerify('sha256').update(canonical(only('SignedInfo'))).verify(sp.cert, only('SignatureValue').textContent, 'base64'));
});

test('where there are two providers a page asks which, and each link leads to its own', async () => {
  for (const [name, origin] of [['Example Corp', corp.origin], ['demo', w.op.issuer]]) {
    const browser = new Browser();
    const page = await browser.open(authorize());
    assert.equal(page.status, 200);
    const links = [...page.body.matchAll(/<a class="idp" href="([^"]+)">([^<]+)<\/a>/g)];
    assert.deepEqual(links.map(([, , text]) => text).sort(), ['Example Corp', 'demo']);
    const link = new URL(links.find(([, , text]) => text === name)[1].replaceAll('&amp;', '&'), page.url);
    // The certified provider asks nothing and answers at once, to a port where nobody listens.
    await browser.open(link.href, { from: page.url }).catch(() => {});
    assert.ok(browser.sent.some((s) => s.url.startsWith(origin)), name);
  }
});

test('doctor looks at both providers', async () => {
  const report = await json('operator', ['doctor', '-o', 'json']);
  const find = (node, name) => (node.checks ?? []).reduce((found, c) => found ?? (c.name === name ? c : find(c, name)), undefined);
  for (const name of ['corp', 'demo']) assert.equal(find(report, name)?.grade, 'pass', JSON.stringify(find(report, name)));
});

test('the page where a device\'s code is typed asks which provider, and leads there', async () => {
  const started = await (await fetch(`${w.url}/t/default/oauth/device_authorization`, { method: 'POST', body: new URLSearchParams({ client_id: 'daypass-cli' }) })).json();
  const browser = new Browser();
  const page = await browser.open(started.verification_uri);
  assert.deepEqual([...page.body.matchAll(/<button name="idp" value="([^"]+)">([^<]+)</g)].map(([, value, text]) => [value, text]).sort(), [['corp', 'Sign in at Example Corp'], ['demo', 'Sign in at demo']]);
  const login = await browser.submit(page.forms[0], { user_code: started.user_code, idp: 'corp' });
  assert.ok(login.url.startsWith(corp.origin), check(login));
  await browser.submit(login.forms[0], { username: dana.name, password: dana.password });
  const end = await post(browser, browser.page.forms[0]);
  assert.match(end.body, /Signed in as/);
});

test('sign-in, decision by a group, a psql session as the role, and the cut at logout', async () => {
  const done = await corpLogin('dana');
  assert.equal(done.code, 0, done.err + done.page?.body);
  const request = done.browser.sent.find((s) => s.url.startsWith(`${corp.origin}/sso`));
  assert.ok(new URL(request.url).searchParams.get('Signature'), 'the request is signed, which samlp checks');
  const posts = done.browser.sent.filter((s) => s.url === sp.acs);
  assert.deepEqual(posts.map((p) => [p.method, p.cookies, 'daypass_again' in p.fields]), [['POST', [], false], ['POST', ['daypass-login'], true]]);

  const { session } = await json('dana', ['status', '-o', 'json']);
  assert.equal(session.principal, 'corp/dana');
  assert.deepEqual(session.groups.toSorted(), dana.groups.toSorted());
  assert.equal(session.attributes.department, 'data');
  const { roles } = await json('dana', ['ls', '-o', 'json']);
  assert.deepEqual(roles.map((r) => [r.role, r.policies]), [['pg/orders/reader', ['corp-read']]]);

  const read = await psql('dana', 'SELECT count(*) FROM orders', "SELECT pg_has_role('orders_reader', 'USAGE'), pg_has_role('orders_writer', 'USAGE'), current_user");
  assert.equal(read.code, 0, read.err);
  assert.match(read.out, /^1000\nt\|f\|dp_/);
  const write = await psql('dana', 'DELETE FROM orders');
  assert.match(write.err, /permission denied/);

  const running = psql('dana', 'SELECT pg_sleep(100)');
  await until(async () => (await w.pg.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)'")).length === 1, 'the query');
  const logout = await w.cli('dana', ['logout']);
  assert.equal(logout.code, 0, logout.err);
  assert.match(logout.err, /[1-9]\d* grants? ended/);
  const cut = await running;
  assert.notEqual(cut.code, 0);
  assert.match(cut.err, /grant gr_\w+ on pg\/orders ended/);
  assert.equal((await w.cli('dana', ['status'])).code, 4);
  await until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');
});

test('a provider of the same site: the cookie comes with the first post, and one is enough', async () => {
  const browser = new Browser();
  const done = await w.login('dana', {
    args: ['--idp', 'corp'],
    visit: async (url) => {
      const { fields } = (await signIn(browser, url, dana, answers)).forms[0];
      return browser.navigate({ method: 'POST', url: sp.acs, fields, from: w.url.replace(/:\d+$/, ':1') });
    },
  });
  assert.equal(done.code, 0, done.err + done.page?.body);
  assert.deepEqual(browser.sent.filter((s) => s.url === sp.acs).map((s) => s.cookies), [['daypass-login']]);
  assert.equal((await w.cli('dana', ['logout'])).code, 0);
});

test('one name at two providers is two people: the groups of one fit no policy for the other', async () => {
  const here = await corpLogin('dana-corp');
  assert.equal(here.code, 0, here.err + here.page?.body);
  // One browser for both: what one provider left in it does not disturb the other.
  w.op.next = 'dana';
  const there = await w.login('dana', { args: ['--idp', 'demo'], visit: (url) => signIn(here.browser, url, dana) });
  assert.equal(there.code, 0, there.err + there.page?.body);
  const roles = async (home, ...more) => Object.fromEntries((await json(home, ['ls', '-o', 'json', ...more])).roles.map((r) => [r.role, r.verdict]));
  assert.equal((await json('dana-corp', ['status', '-o', 'json'])).session.principal, 'corp/dana');
  assert.equal((await json('dana', ['status', '-o', 'json'])).session.principal, 'demo/dana');
  assert.deepEqual(await roles('dana-corp', '--all'), { 'pg/orders/reader': 'allow', 'pg/orders/writer': 'deny' });
  assert.deepEqual(await roles('dana', '--all'), { 'pg/orders/reader': 'deny', 'pg/orders/writer': 'allow' });
  const write = (home) => w.cli(home, ['connect', 'pg/orders', '--role', 'writer', '--', '-X', '-At', '-c', 'UPDATE orders SET total = total WHERE id = 1']);
  assert.equal((await write('dana-corp')).code, 3);
  const written = await write('dana');
  assert.equal(written.code, 0, written.err);
  assert.equal((await w.cli('dana', ['connect', 'pg/orders', '--role', 'reader', '--', '-X', '-c', 'SELECT 1'])).code, 3);
  // And a login of one is not ended with the other's.
  assert.equal((await w.cli('dana', ['logout'])).code, 0);
  assert.equal((await w.cli('dana-corp', ['status'])).code, 0);
  assert.equal((await w.cli('dana-corp', ['logout'])).code, 0);
});

test('a form that was posted once is refused, with its own state and with a new one', async () => {
  const browser = new Browser();
  const done = await corpLogin('dana', dana, browser);
  assert.equal(done.code, 0, done.err);
  const [first, second] = browser.sent.filter((s) => s.url === sp.acs);
  const again = await browser.navigate({ method: 'POST', url: sp.acs, fields: second.fields, from: w.url });
  assert.deepEqual([again.status, check(again)], [400, 'login.state']);
  await browser.navigate({ method: 'POST', url: sp.acs, fields: first.fields, from: corp.origin });
  assert.equal(check(await browser.submit(browser.page.forms[0])), 'login.state');

  const form = await answerOf(browser);
  assert.notEqual(form.fields.RelayState, first.fields.RelayState);
  const old = await post(browser, { ...form, fields: { ...form.fields, SAMLResponse: first.fields.SAMLResponse } });
  assert.equal(check(old), 'saml.in_response_to');
  await w.cli('dana', ['logout']);
});

test('a form from another browser than the one that began is refused, and is used up', async () => {
  const victim = new Browser();
  const attacker = new Browser();
  const form = await answerOf(attacker);
  const shown = await victim.open(corp.entityId);
  assert.ok(shown.ok);
  const page = await post(victim, form);
  assert.deepEqual([page.status, check(page)], [403, 'login.browser']);
  assert.equal(check(await post(attacker, form)), 'login.state');

  // A form that says of itself that it was posted again gains nothing.
  const { fields } = await answerOf(attacker);
  const eager = await victim.navigate({ method: 'POST', url: sp.acs, fields: { ...fields, daypass_again: '1' }, from: corp.origin });
  assert.equal(check(eager), 'login.browser');

  // The same where the victim has a sign-in of its own under way, which goes on undisturbed.
  const done = await w.login('sam', {
    args: ['--idp', 'corp'],
    visit: async (url) => {
      const mine = (await signIn(victim, url, sam, answers)).forms[0];
      assert.equal(check(await post(victim, await answerOf(new Browser()))), 'login.browser');
      await victim.open(corp.entityId);
      return post(victim, mine);
    },
  });
  assert.equal(done.code, 0, done.err + done.page?.body);
  assert.equal((await json('sam', ['status', '-o', 'json'])).session.principal, 'corp/sam');
  assert.equal((await w.cli('sam', ['logout'])).code, 0);
});

test("an answer at another provider's address, or in a query, is refused", async () => {
  const browser = new Browser();
  const form = await answerOf(browser);
  const elsewhere = await post(browser, { ...form, action: sp.acs.replace('/corp/', '/demo/') });
  assert.equal(check(elsewhere), 'login.mix_up');

  const next = await answerOf(browser);
  const query = new URLSearchParams({ SAMLResponse: next.fields.SAMLResponse, RelayState: next.fields.RelayState, state: next.fields.RelayState });
  assert.equal(check(await browser.open(`${sp.acs}?${query}`, { from: corp.origin })), 'saml.not_posted');

  // An OpenID provider's answer, at the SAML provider's address.
  const begun = await fetch(authorize('demo'), { redirect: 'manual' });
  const state = new URL(begun.headers.get('location')).searchParams.get('state');
  const cookie = begun.headers.getSetCookie()[0].split(';')[0];
  const mixed = await fetch(`${sp.acs}?${new URLSearchParams({ code: 'some-code', state })}`, { headers: { cookie } });
  assert.match(await mixed.text(), /<code>login\.mix_up<\/code>/);
});

test('what nobody asked for is refused', async () => {
  const browser = new Browser();
  const { fields } = await corp.unsolicited(sp, dana);
  await browser.open(corp.entityId);
  assert.equal(check(await post(browser, { action: sp.acs, method: 'POST', fields })), 'login.state');
});

test('a transient NameID is refused, and the page says what to do', async (t) => {
  corp.options.nameIdFormat = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient';
  t.after(() => { corp.options.nameIdFormat = persistent; });
  const done = await corpLogin('dana');
  assert.notEqual(done.code, 0);
  assert.deepEqual([done.page.status, check(done.page)], [403, 'saml.name_id']);
  assert.match(done.page.body, /transient/);
  assert.match(done.page.body, /What to do: <code>set the identity provider to send a persistent NameID/);
});

test('an encrypted assertion is read with a key of sp_keys', async (t) => {
  t.after(() => { corp.options.encrypt = undefined; });
  for (const cipher of ['aes256-gcm', 'aes256-cbc']) {
    corp.options.encrypt = cipher;
    const done = await corpLogin('sam', sam);
    assert.equal(done.code, 0, done.err + done.page?.body);
    const xml = Buffer.from(done.browser.sent.find((s) => s.url === sp.acs).fields.SAMLResponse, 'base64').toString();
    assert.match(xml, /EncryptedAssertion/);
    assert.ok(!xml.includes('support'), 'nothing is said in clear');
    const { session } = await json('sam', ['status', '-o', 'json']);
    assert.deepEqual([session.principal, session.groups], ['corp/sam', ['support']]);
    assert.equal((await w.cli('sam', ['logout'])).code, 0);
  }
});

test('a login ends when the provider says that its session does, and cuts what it opened', async (t) => {
  corp.options.sessionSeconds = 5;
  t.after(() => { corp.options.sessionSeconds = undefined; });
  const began = Date.now();
  const done = await corpLogin('dana');
  assert.equal(done.code, 0, done.err + done.page?.body);
  const { session } = await json('dana', ['status', '-o', 'json']);
  const ends = Date.parse(session.ends_at);
  assert.ok(ends >= began + 4999 && ends <= Date.now() + 5000, session.ends_at);
  const cut = await psql('dana', 'SELECT pg_sleep(100)');
  assert.ok(Date.now() >= ends, 'not before the end');
  assert.notEqual(cut.code, 0);
  assert.match(cut.err, /grant gr_\w+ (on pg\/orders )?ended/);  // the gate, which has its own clock, or the engine
  const status = await w.cli('dana', ['status']);
  assert.equal(status.code, 4);
  assert.match(status.err, /daypass login/);
  const [grant] = (await json('operator', ['grants', 'ls', '--closed', '-o', 'json'])).grants.filter((g) => g.session === session.id);
  assert.equal(grant.principal, 'corp/dana');
  assert.ok(Date.parse(grant.ends_at) <= ends, `the grant was to last until ${grant.ends_at}`);
  assert.equal(grant.end_reason, 'login_expired');
});

test('the provider changes its key: sign-in goes on with the new metadata, and the old key is worth nothing', async () => {
  const { old, metadataXml } = await corp.rotate();
  fs.writeFileSync(`${w.folder}/corp.xml.new`, metadataXml, { mode: 0o600 });
  fs.renameSync(`${w.folder}/corp.xml.new`, `${w.folder}/corp.xml`);
  // Metadata is read again for a signature that fits no key, at most every 10 seconds.
  const refusals = [];
  await until(async () => {
    const done = await corpLogin('dana');
    if (done.code === 0) return true;
    refusals.push(check(done.page));
    return false;
  }, 'a sign-in with the new key');
  assert.ok(refusals.every((c) => c === 'xmldsig.signature'), refusals.join());
  assert.equal((await json('dana', ['status', '-o', 'json'])).session.principal, 'corp/dana');
  await corp.rotate(old);
  const browser = new Browser();
  assert.equal(check(await post(browser, await answerOf(browser))), 'xmldsig.signature');
});

test('the audit log names each refusal by its check, and holds no assertion', async () => {
  const audit = await w.audit();
  const failed = audit.filter((r) => r.action === 'login.failed').map((r) => r.facts.check);
  for (const name of ['login.browser', 'login.mix_up', 'saml.in_response_to', 'saml.not_posted', 'saml.name_id', 'xmldsig.signature']) assert.ok(failed.includes(name), name);
  const text = JSON.stringify(audit) + w.serverLog;
  assert.doesNotMatch(text, /PHNhbWxwO|<saml|dpt_[A-Za-z0-9_-]{20}/);
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0);
});
