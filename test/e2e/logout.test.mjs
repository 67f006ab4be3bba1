// Sign-outs that begin here and go on at the provider, and sign-ins that begin there, through the real server: npm samlp as "corp"
// (by redirect) and as "tile" (by POST; it may begin sign-ins), npm oidc-provider as "demo". Daypass is called localhost and
// they 127.0.0.1, so that for the browser they are other sites.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import { World, until } from './harness.mjs';
import { Browser, signIn } from './browser.mjs';
import { keyPair, persistent } from './idps/parts.mjs';
import { start as startSamlp } from './idps/samlp.mjs';
import { SAML, SAMLP, escape } from './hostile/saml/forge.mjs';
import { elements, parse } from './hostile/saml/sign.mjs';
import { enveloped, instant, query } from './saml_messages.mjs';

const users = ['dana', 'sam'].map((name) => ({ name, password: `password of ${name}`, attributes: { department: 'data' }, groups: ['data'] }));
const [dana, sam] = users;
const policies = ['demo', 'corp', 'tile'].map((idp) => `@id("${idp}") @duration("1h") @idle("10m")
permit(principal in Group::"${idp}/data", action == Action::"assume", resource == Role::"pg/orders/reader");
`).join('');
const STATUS = 'urn:oasis:names:tc:SAML:2.0:status';

let w, corp, keys, strangerKeys;
const sps = {};
before(async () => {
  w = await World.start({
    policies, host: 'localhost',
    prepare: async (world) => {
      const { key, cert } = keyPair(world.folder, 'sp');
      world.write('sp.pem', key + cert);
      for (const name of ['corp', 'tile']) {
        const base = `${world.url}/t/default/idp/${name}`;
        sps[name] = { entityId: `${base}/metadata`, acs: `${base}/callback`, slo: `${base}/logout`, cert };
      }
      corp = await startSamlp({ scratch: world.folder, sps: Object.values(sps), users });
      keys = keyPair(world.folder, 'corp');
      strangerKeys = keyPair(world.folder, 'stranger');
      const { metadataXml } = await corp.rotate(keys);
      world.write('corp.xml', metadataXml);
      world.write('tile.xml', metadataXml.replace(/<(\w+:)?SingleLogoutService[^>]*HTTP-Redirect[^>]*?(\/>|>[^<]*<\/(\w+:)?SingleLogoutService>)/g, ''));
      for (const [name, more] of [['corp', 'display = "Example Corp"'], ['tile', 'display = "The Dashboard"\nidp_initiated = true']])
        world.write(`tenant/${name}.toml`, `[[idp]]\nname = "${name}"\n${more}\nprotocol = "saml"\nissuer = "${corp.entityId}"\nmetadata = "file:${world.folder}/${name}.xml"\nsp_keys = ["file:${world.folder}/sp.pem"]\ngroups = "groups"\n`);
    },
  });
});
after(async () => { await w?.stop(); await corp?.stop(); });

const json = async (...args) => { const done = await w.cli(...args); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const check = (page) => page?.body.match(/Check <code>([^<]+)<\/code>/)?.[1] ?? `none: ${page?.status} ${page?.body}`;
const title = (page) => page.body.match(/<h1>([^<]*)<\/h1>/)?.[1];
const sessions = async (principal) => (await json('operator', ['sessions', 'ls', '-o', 'json'])).sessions.filter((s) => s.principal === principal);
const noRoles = () => until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');

async function login(home, idp, user, browser = new Browser()) {
  const done = await w.login(home, { args: ['--idp', idp], visit: (url) => { w.op.next = user.name; return idp === 'demo' ? browser.open(url) : signIn(browser, url, user); } });
  assert.equal(done.code, 0, done.err + done.page?.body);
  return browser;
}
/** psql that runs until it is cut. */
async function running(home, seconds) {
  const text = `SELECT pg_sleep(${seconds})`;
  const ended = w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', '-c', text]);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE query = '${text}'`)).length === 1, `the query of ${home}`);
  return { ended };
}
/** `daypass logout --provider`, up to the address that it shows. */
async function logout(home) {
  const done = await w.cli(home, ['logout', '--provider', '--no-browser']);
  assert.equal(done.code, 0, done.err);
  return done.err.match(/^ {2}(http:\S+)$/m)[1];
}
const carrier = (page) => page.forms.find((f) => 'SAMLRequest' in f.fields || 'SAMLResponse' in f.fields);
async function carried(browser, page) {
  for (let i = 0; i < 8; i += 1) {
    if (!carrier(page)) return page;
    page = await browser.submit(carrier(page));
  }
  throw new Error('carried around in circles');
}

for (const [idp, display, user] of [['corp', 'Example Corp', dana], ['tile', 'The Dashboard', sam]]) {
  test(`a logout ends everything here, and then at the SAML provider, ${idp === 'corp' ? 'by redirect' : 'by POST'}`, async () => {
    const home = `${idp}-home`;
    const browser = await login(home, idp, user);
    const cut = await running(home, idp === 'corp' ? 201 : 202);
    const from = browser.sent.length;
    const url = await logout(home);
    // Before any browser has gone anywhere.
    assert.match((await cut.ended).err, /ended: you logged out/);
    assert.equal((await w.cli(home, ['status'])).code, 4);
    await noRoles();
    assert.equal(browser.sent.length, from);

    const end = await carried(browser, await browser.open(url));
    assert.equal(end.status, 200, end.body);
    assert.ok(end.url.startsWith(sps[idp].slo), `it ends here: ${end.url}`);
    assert.equal(title(end), 'Signed out');
    assert.match(end.body, new RegExp(`<b>${display}</b> has signed you out`));
    // samlp checks our signature, and that the NameID and the SessionIndex are those of its session.
    const [asked] = browser.sent.slice(from).filter((s) => s.url.startsWith(`${corp.origin}/logout`));
    assert.equal(asked.method, idp === 'corp' ? 'GET' : 'POST');
    assert.equal((await browser.open(`${corp.origin}/logout`)).body, 'refused: no session to end');
    const record = (await w.audit()).findLast((r) => r.action === 'logout.provider');
    assert.deepEqual([record.outcome, record.facts.idp, record.actor], ['ok', idp, `${idp}/${user.name}`]);

    // Each of it once.
    const again = await browser.open(url);
    assert.deepEqual([again.status, check(again)], [404, 'logout.handle']);
    const answer = browser.sent.slice(from).find((s) => s.url.startsWith(sps[idp].slo));
    const replayed = await browser.navigate({ method: answer.method, url: answer.url, fields: answer.fields, from: corp.origin });
    assert.deepEqual([replayed.status, check(replayed)], [400, 'logout.state']);
  });
}

test('without --provider a logout goes nowhere, and says that the browser may still be signed in', async () => {
  await login('plain', 'corp', dana);
  const done = await w.cli('plain', ['logout']);
  assert.equal(done.code, 0);
  assert.match(done.err, /still be signed in at Example Corp: next time, daypass logout --provider/);
  assert.doesNotMatch(done.err, /handle=/);
  await login('plain', 'corp', dana);
  const said = await json('plain', ['logout', '-o', 'json']);
  assert.equal(said.provider, 'Example Corp');
  assert.ok(said.provider_logout_url.startsWith(`${w.url}/t/default/logout?handle=`));
  // What an administrator ends leads nobody's browser anywhere.
  await login('plain', 'corp', dana);
  const [{ id }] = await sessions('corp/dana');
  const ended = await w.cli('operator', ['sessions', 'end', id]);
  assert.equal(ended.code, 0, ended.err);
  assert.doesNotMatch(ended.out + ended.err, /handle/);
});

/** The LogoutRequest of a logout whose browser is held here: {id, xml}. */
async function held(home, user = dana) {
  await login(home, 'corp', user);
  const res = await fetch(await logout(home), { redirect: 'manual' });
  const to = new URL(res.headers.get('location'));
  assert.equal(to.origin + to.pathname, `${corp.origin}/logout`);
  const xml = inflateRawSync(Buffer.from(to.searchParams.get('SAMLRequest'), 'base64')).toString();
  return { xml, id: xml.match(/ ID="([^"]+)"/)[1] };
}
/** A LogoutResponse's text; whoever sends it signs it. */
function logoutResponse({ to, id = `_${randomBytes(16).toString('hex')}`, issuer = corp.entityId, destination = sps.corp.slo, issued = instant(), status = `<samlp:StatusCode Value="${STATUS}:Success"/>`, element = 'LogoutResponse' } = {}) {
  return `<samlp:${element} xmlns:samlp="${SAMLP}" xmlns:saml="${SAML}" ID="${id}" Version="2.0" IssueInstant="${issued}" Destination="${escape(destination)}"${to ? ` InResponseTo="${escape(to)}"` : ''}>`
    + `<saml:Issuer>${escape(issuer)}</saml:Issuer><samlp:Status>${status}</samlp:Status></samlp:${element}>`;
}
async function visit(url, init) {
  const res = await fetch(url, { redirect: 'manual', ...init });
  return { status: res.status, body: await res.text(), headers: res.headers };
}
const byPost = (xml, signer = keys, sp = sps.corp) => visit(sp.slo, { method: 'POST', body: new URLSearchParams({ SAMLResponse: Buffer.from(signer ? enveloped(xml, signer) : xml).toString('base64') }) });
const byRedirect = (xml, signer = keys, sp = sps.corp) => visit(`${sp.slo}?${query(xml, { keys: signer, kind: 'SAMLResponse' })}`);

test('a LogoutResponse that is not right is refused by its check, and the right one still counts behind it', async () => {
  const { id, xml } = await held('firm');
  const root = parse(xml).documentElement;
  const all = (name) => [...elements(root)].filter((e) => e.localName === name);
  assert.deepEqual([root.localName, all('NameID')[0].textContent, all('NameID')[0].getAttribute('Format')], ['LogoutRequest', 'dana', persistent]);
  assert.equal(all('SessionIndex').length, 1);
  const wrong = {
    'xmldsig.signature': [{}, strangerKeys], 'saml.logout_issuer': [{ issuer: 'https://idp.example/other' }], 'saml.logout_destination': [{ destination: sps.tile.slo }], 'saml.logout_expired': [{ issued: instant(-360) }],
    'saml.logout_in_response_to': [{ to: '' }], 'logout.state': [{ to: `_${randomBytes(20).toString('hex')}` }], 'saml.logout_shape': [{ element: 'Response' }],
  };
  for (const [name, [change, signer]] of Object.entries(wrong)) {
    for (const send of [byPost, byRedirect]) {
      const page = await send(logoutResponse({ to: id, ...change }), signer);
      assert.deepEqual([page.status >= 400, check(page)], [true, name], `${name} ${send.name}`);
      assert.equal(title(page), 'Sign-out failed');
    }
  }
  assert.equal(check(await byPost(logoutResponse({ to: id }), null)), 'xmldsig.missing');
  assert.equal(check(await byRedirect(logoutResponse({ to: id }), null)), 'saml.unsigned');
  const elsewhere = await byPost(logoutResponse({ to: id, destination: sps.tile.slo }), keys, sps.tile);
  assert.equal(check(elsewhere), 'logout.state', 'right for another provider of the tenant, which asked nothing');
  assert.equal(check(await byPost(logoutResponse({ to: id }), keys, { slo: sps.corp.slo.replace('/corp/', '/demo/') })), 'oidc.state_missing');
  // By redirect what is signed are the octets of the query.
  const signed = query(logoutResponse({ to: id }), { keys, kind: 'SAMLResponse' });
  assert.equal(check(await visit(`${sps.corp.slo}?${signed}&SAMLResponse=x`)), 'saml.duplicate_parameter');
  assert.equal(check(await visit(`${sps.corp.slo}?${signed}&RelayState=x`)), 'xmldsig.signature');
  assert.equal(check(await visit(`${sps.corp.slo}?SAMLRequest=x&${signed}`)), 'saml.logout_shape');

  const right = await byRedirect(logoutResponse({ to: id }));
  assert.deepEqual([right.status, title(right)], [200, 'Signed out']);
  for (const send of [byPost, byRedirect]) assert.equal(check(await send(logoutResponse({ to: id }))), 'logout.state', 'told twice');
});

test('what the provider says is said in plain words', async () => {
  const code = (value, inside = '') => `<samlp:StatusCode Value="${value}">${inside}</samlp:StatusCode>`;
  for (const [status, heading, words] of [
    [code(`${STATUS}:Responder`, code(`${STATUS}:PartialLogout`)), 'Signed out, but not everywhere', /could not reach every application/],
    [code(`${STATUS}:Success`, code(`${STATUS}:PartialLogout`)), 'Signed out, but not everywhere', /Close the browser/],
    [`${code(`${STATUS}:Responder`, code(`${STATUS}:RequestDenied`))}<samlp:StatusMessage>not &lt;b&gt;today&lt;/b&gt;</samlp:StatusMessage>`, 'Still signed in at the identity provider', /RequestDenied: not &lt;b&gt;today&lt;\/b&gt;/],
  ]) {
    const { id } = await held('words', sam);
    const page = await byPost(logoutResponse({ to: id, status }));
    assert.deepEqual([page.status, title(page)], [200, heading], page.body);
    assert.match(page.body, words);
    assert.match(page.body, /Your Daypass login has ended in any case/);
  }
});

test('a logout goes on at the OpenID provider, which asks, and ends on a page that claims nothing', async () => {
  const browser = await login('dana', 'demo', dana);
  const url = await logout('dana');
  const asks = await browser.open(url);
  assert.ok(asks.url.startsWith(`${w.op.issuer}/session/end?`), asks.body);
  const sent = new URL(asks.url).searchParams;
  assert.deepEqual([sent.get('client_id'), sent.get('post_logout_redirect_uri'), sent.has('id_token_hint')], ['daypass', `${w.url}/t/default/idp/demo/logout`, false]);
  const end = await browser.submit(asks.forms[0], { logout: 'yes' });
  assert.ok(end.url.startsWith(`${w.url}/t/default/idp/demo/logout?state=`), end.url);
  assert.equal(title(end), 'Back from the identity provider');
  assert.match(end.body, /<b>demo<\/b> has sent you back. It does not say whether/);
  assert.equal(check(await browser.open(end.url)), 'logout.state');
  assert.equal(check(await browser.open(url)), 'logout.handle');
  // The provider asks who it is again.
  w.op.next = 'sam';
  const next = await w.login('sam', { args: ['--idp', 'demo'], visit: (to) => browser.open(to) });
  assert.equal(next.code, 0, next.err);
  assert.equal((await json('sam', ['status', '-o', 'json'])).session.principal, 'demo/sam');
  for (const state of ['x', '', 'a'.repeat(43)]) assert.equal(check(await visit(`${w.url}/t/default/idp/demo/logout?state=${state}`)), state ? 'logout.state' : 'oidc.state_missing');
});

// -- sign-ins that begin at the provider

/** `daypass login --device`: {code, done}, `code` being the one that it shows. */
async function device(home) {
  let show;
  const code = new Promise((resolve) => { show = resolve; });
  const stop = new AbortController();
  const done = w.cli(home, ['login', '--device'], { signal: stop.signal, onErr: (text) => { const found = text.match(/^ {2}([A-Z]{4}-[A-Z]{4})$/m); if (found) show(found[1]); } });
  done.catch(() => {});
  return { code: await code, done, stop: () => stop.abort() };
}
/** A tile of the dashboard is clicked: the page that our side shows. */
async function click(browser, user = dana, { sp = sps.tile, change = (f) => f } = {}) {
  const { fields } = await corp.unsolicited(sp, user);
  await browser.open(corp.entityId);
  const page = await browser.submit({ action: sp.acs, method: 'POST', fields: change(fields) });
  return page.posts ? browser.submit(page.forms[0]) : page;
}

test('a sign-in that begins at the provider is confirmed with the code of the own terminal', async () => {
  const terminal = await device('tile-dana');
  const browser = new Browser();
  const page = await click(browser, dana, { change: (f) => ({ ...f, RelayState: 'https://evil.example/' }) });
  assert.deepEqual([page.status, title(page)], [200, 'Sign in to Daypass?'], page.body);
  assert.match(page.body, /<b>dana<\/b> \(<code>tile\/dana<\/code>\) at <b>The Dashboard<\/b> wants to sign you in to Daypass \(tenant <code>default<\/code>\)/);
  assert.doesNotMatch(page.body, /evil/);
  assert.equal(page.headers.get('referrer-policy'), 'same-origin');
  const [cookie] = page.headers.getSetCookie().filter((c) => c.startsWith('daypass-confirm='));
  assert.match(cookie, /HttpOnly/);
  assert.match(cookie, /SameSite=Strict/);
  assert.match(cookie, /Max-Age=300/);
  assert.deepEqual(await sessions('tile/dana'), [], 'nothing has happened');
  const end = await browser.submit(page.forms[0], { user_code: terminal.code.toLowerCase() });
  assert.equal(title(end), 'Signed in', end.body);
  assert.equal(browser.jar.some((c) => c.name === 'daypass-confirm' && c.ends > Date.now()), false, 'the cookie is gone');
  const done = await terminal.done;
  assert.equal(done.code, 0, done.err);
  const { session } = await json('tile-dana', ['status', '-o', 'json']);
  assert.deepEqual([session.principal, session.client, session.groups], ['tile/dana', 'device', ['data']]);
  const psql = await w.cli('tile-dana', ['connect', 'pg/orders', '--', '-X', '-At', '-c', 'SELECT count(*) FROM orders']);
  assert.deepEqual([psql.code, psql.out.trim()], [0, '1000'], psql.err);
  const offered = (await w.audit()).filter((r) => r.action === 'login.offered');
  assert.deepEqual(offered.map((r) => [r.object, r.actor]), [['tile', 'tile/dana']]);
  assert.equal((await w.cli('tile-dana', ['logout'])).code, 0);
  await noRoles();
});

test('nobody but the person in front of that browser confirms it, once', async (t) => {
  const terminal = await device('tile-sam');
  t.after(() => terminal.stop());
  const browser = new Browser();
  const fill = { user_code: terminal.code };
  // The forged form: another site's, without an origin, from another browser, with a cookie of the attacker's own making.
  const page = await click(browser, sam);
  const url = page.forms[0].action;
  assert.equal(url, `${w.url}/t/default/idp/tile/confirm`);
  await browser.open(corp.entityId);
  const foreign = await browser.navigate({ method: 'POST', url, fields: fill, from: corp.origin });
  assert.deepEqual([foreign.status, check(foreign)], [403, 'login.origin']);
  const post = (headers) => visit(url, { method: 'POST', body: new URLSearchParams(fill), headers });
  assert.equal(check(await post({})), 'login.origin');
  assert.equal(check(await post({ origin: 'null' })), 'login.origin');
  assert.equal(check(await post({ origin: w.url })), 'login.confirm');
  assert.equal(check(await post({ origin: w.url, cookie: `daypass-confirm=${'A'.repeat(43)}` })), 'login.confirm');
  const { value } = browser.jar.find((c) => c.name === 'daypass-confirm');
  assert.equal(check(await visit(url.replace('/tile/', '/corp/'), { method: 'POST', body: new URLSearchParams(fill), headers: { origin: w.url, cookie: `daypass-confirm=${value}` } })), 'login.mix_up');
  assert.equal(check(await post({ origin: w.url, cookie: `daypass-confirm=${value}` })), 'login.confirm', 'used up by that');
  // A wrong code uses it up, too.
  const second = await click(browser, sam);
  assert.equal(check(await browser.submit(second.forms[0], { user_code: 'BBBB-BBBB' })), 'device.user_code');
  assert.deepEqual(await sessions('tile/sam'), []);
  // Answered by a logout meanwhile.
  const third = await click(browser, sam);
  const told = await visit(sps.tile.slo, { method: 'POST', body: new URLSearchParams({ SAMLRequest: Buffer.from(enveloped(`<samlp:LogoutRequest xmlns:samlp="${SAMLP}" xmlns:saml="${SAML}" ID="_${randomBytes(16).toString('hex')}" Version="2.0" IssueInstant="${instant()}" Destination="${sps.tile.slo}"><saml:Issuer>${corp.entityId}</saml:Issuer><saml:NameID Format="${persistent}">sam</saml:NameID></samlp:LogoutRequest>`, keys)).toString('base64') }) });
  assert.equal(told.status, 200, told.body);
  assert.equal(check(await browser.submit(third.forms[0], fill)), 'login.signed_out');
  assert.deepEqual(await sessions('tile/sam'), []);
});

test('an unasked response is verified like any other, and taken only where that is switched on', async () => {
  const off = await click(new Browser(), dana, { sp: sps.corp });
  assert.equal(check(off), 'login.state');
  assert.match(off.body, /idp_initiated = true/);
  const browser = new Browser();
  // Posted twice.
  const { fields } = await corp.unsolicited(sps.tile, dana);
  await browser.open(corp.entityId);
  const send = async (from, sp = sps.tile) => { await browser.open(corp.entityId); const page = await browser.submit({ action: sp.acs, method: 'POST', fields: from }); return page.posts ? browser.submit(page.forms[0]) : page; };
  assert.equal(title(await send(fields)), 'Sign in to Daypass?');
  assert.equal(check(await send(fields)), 'login.replayed');
  const xml = Buffer.from((await corp.unsolicited(sps.tile, dana)).fields.SAMLResponse, 'base64').toString();
  const changed = (from, to) => { const out = xml.replaceAll(from, to); assert.notEqual(out, xml); return { SAMLResponse: Buffer.from(out).toString('base64') }; };
  assert.equal(check(await send(changed('>dana<', '>root<'))), 'xmldsig.digest');
  assert.equal(check(await send({ SAMLResponse: 'PHg+PC94Pg==' })), 'saml.shape');
  // Made for the other provider of the same entityID, and for a request that was made, but by nobody who waits.
  assert.equal(check(await send((await corp.unsolicited(sps.corp, dana)).fields)), 'saml.destination');
  const begun = await signIn(new Browser(), `${w.url}/t/default/oauth/authorize?${new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), idp: 'tile' })}`, dana, (p) => p.url.startsWith(corp.origin) && p.forms.some((f) => 'SAMLResponse' in f.fields));
  const answer = begun.forms.find((f) => 'SAMLResponse' in f.fields).fields;
  assert.equal(check(await send({ ...answer, RelayState: 'elsewhere' })), 'saml.in_response_to');
  assert.equal(check(await send({ ...(await corp.unsolicited(sps.tile, dana)).fields, RelayState: answer.RelayState })), 'login.browser', 'in another browser than that of the sign-in whose state it names');
  assert.equal(check(await visit(`${sps.tile.acs}?${new URLSearchParams(fields)}`)), 'login.state', 'by query');
  assert.deepEqual((await sessions('tile/dana')).length, 0);
});

test('the audit log holds no message, no handle and no code', async () => {
  const text = JSON.stringify(await w.audit()) + w.serverLog;
  assert.doesNotMatch(text, /PHNhbWxwO|<saml|handle=|daypass-confirm|[A-Z]{4}-[A-Z]{4}"/);
  assert.equal((await w.cli('operator', ['audit', 'verify'])).code, 0);
});
