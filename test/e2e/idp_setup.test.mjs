// Setting an identity provider up: asked for on a terminal, tried by a real sign-in of which nothing is kept, then applied.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { CertifiedOp, World, browse, daypass, people, until } from './harness.mjs';
import { Browser, signIn } from './browser.mjs';
import { certificateOf, keyPair } from './idps/parts.mjs';
import { start as startSamlp } from './idps/samlp.mjs';
import { createHash } from 'node:crypto';

const users = [{ name: 'dana', password: 'password of dana', attributes: { department: 'data' }, groups: ['data'] }];

let w, sso, corp;
before(async () => {
  w = await World.start();
  sso = await CertifiedOp.start({ ...people, eve: { sub: 'eve', name: 'Eve', groups: 7 } });
  sso.redirects = [`${w.url}/t/default/idp/sso/callback`];
  await sso.rotate();
  const base = `${w.url}/t/default/idp/corp`;
  corp = await startSamlp({ scratch: w.folder, sps: [{ entityId: `${base}/metadata`, acs: `${base}/callback`, cert: keyPair(w.folder, 'sp').cert }], users });
});
after(async () => { await w?.stop(); await sso?.stop(); await corp?.stop(); });

const file = (name) => path.join(w.tenant, 'idps', `${name}.toml`);

/** Runs a command in a terminal of its own; `answers` are typed, each when its question stands there. */
async function terminal(args, answers) {
  const quoted = [daypass, ...args].map((a) => `'${a}'`).join(' ');
  const child = spawn('script', ['-qefc', quoted, '/dev/null'], { env: { ...w.env('operator'), SHELL: '/bin/sh' }, stdio: ['pipe', 'pipe', 'inherit'] });
  let seen = '';
  let at = 0;
  const rest = [...answers];
  child.stdout.on('data', (d) => {
    seen += d;
    while (rest.length && seen.indexOf(rest[0][0], at) >= 0) {
      const [question, answer] = rest.shift();
      at = seen.indexOf(question, at) + question.length;
      child.stdin.write(`${answer}\n`);
    }
  });
  const [code] = await once(child, 'close');
  assert.deepEqual(rest, [], seen);
  return { code, seen };
}

/** `daypass idp test` with a browser that goes where it is sent: `visit` gets the page's link. */
async function idpTest(args, visit, person = 'operator') {
  let visited;
  const done = await w.cli(person, ['idp', 'test', ...args, '--no-browser'], {
    onErr: (text, child) => {
      const url = text.match(/^ {2}(http:\S+\/test\?key=\S+)$/m)?.[1];
      if (!url || visited) return;
      visited = visit(url).catch((e) => { child.kill('SIGTERM'); throw e; });
      visited.catch(() => {});
    },
  });
  return { ...done, page: await visited };
}
const linkOf = (page, from) => new URL(page.body.match(/class="idp" href="([^"]+)"/)[1].replaceAll('&amp;', '&'), from).href;
async function walk(url) {
  const jar = new Map();
  const page = await browse(url, { jar });
  assert.match(page.body, /<b>(operator|demo\/ada)<\/b> tests the identity provider/);
  return browse(linkOf(page, url), { jar });
}
const tested = async () => (await w.audit()).filter((r) => r.action === 'idp.tested');

test('a terminal is asked, what is found is shown, and the secret stands nowhere but in its file', { timeout: 60000 }, async () => {
  const { code, seen } = await terminal(['idp', 'add', '--dir', w.tenant], [
    ['Preset', 'generik'], ['must be one of', 'generic'], ['OpenID Connect', ''], ['Its name', 'sso'], ["issuer's URL", `${sso.issuer}/nowhere`], ['discovery.', sso.issuer],
    ['Client ID', 'daypass'], ['Where to keep', ''], ['Client secret', sso.secret],
  ]);
  assert.equal(code, 0, seen);
  assert.ok(seen.includes(`${w.url}/t/default/idp/sso/callback`), seen);
  assert.match(seen, /ES256/);
  assert.ok(!seen.includes(sso.secret), 'it is not shown');
  assert.match(seen, /daypass idp test sso --dir/);
  const kept = path.join(w.data, 'secrets/default/sso.secret');
  assert.equal(fs.readFileSync(kept, 'utf8'), sso.secret);
  assert.equal(fs.statSync(kept).mode & 0o777, 0o600);
  const text = fs.readFileSync(file('sso'), 'utf8');
  assert.ok(!text.includes(sso.secret) && text.includes(`client_secret = "file:${kept}"`), text);
  const again = await terminal(['idp', 'add', '--dir', w.tenant], [['Preset', 'generic'], ['OpenID Connect', ''], ['Its name', 'sso']]);
  assert.equal(again.code, 2, again.seen);
  assert.match(again.seen, /nothing is overwritten/);
  assert.equal(fs.readFileSync(file('sso'), 'utf8'), text);
});

test('a real sign-in is shown in full before anything is applied, and nothing of it is kept', { timeout: 60000 }, async () => {
  fs.writeFileSync(file('sso'), fs.readFileSync(file('sso'), 'utf8').replace('[idp.attributes]\n', 'groups = "groups"\nscopes = ["profile"]\n\n[idp.attributes]\ndepartment = "department"\n'));
  fs.writeFileSync(path.join(w.tenant, 'policies/sso.cedar'), '@id("sso-read") permit(principal in Group::"sso/data", action == Action::"assume", resource == Role::"pg/orders/reader");\n');
  sso.next = 'dana';
  const done = await idpTest(['sso', '--dir', w.tenant], walk);
  assert.equal(done.code, 0, done.err);
  assert.match(done.page.body, /The test has ended/);
  assert.match(done.out, /department +"data"/);
  assert.match(done.out, /User::"sso\/dana"/);
  assert.match(done.out, /Group::"sso\/data"/);
  assert.match(done.out, /✓ +pg\/orders\/reader +sso-read/);
  assert.match(done.out, /✗ +pg\/orders\/writer/);
  assert.doesNotMatch(done.out + done.err, /eyJ/, 'no token');
  const json = await idpTest(['sso', '--dir', w.tenant, '-o', 'json'], walk);
  const told = JSON.parse(json.out);
  assert.deepEqual([told.v, told.state, told.identity.principal, told.claims.sub, told.administers], [1, 'passed', 'sso/dana', 'dana', false]);
  const records = await tested();
  assert.deepEqual(records.map((r) => [r.object, r.outcome, r.actor]), [['sso', 'ok', 'operator'], ['sso', 'ok', 'operator']]);
  assert.doesNotMatch(JSON.stringify(records), /dana|Dana/);
  const idps = JSON.parse((await w.cli('operator', ['sessions', 'ls', '-o', 'json'])).out).sessions;
  assert.deepEqual(idps, []);
  assert.match((await w.cli('operator', ['idp', 'test', 'sso'])).err, /none of that name is applied/);
});

test('the first check that fails is named, with the claims where it got so far', { timeout: 60000 }, async () => {
  sso.next = 'eve';
  const mapping = await idpTest(['sso', '--dir', w.tenant], walk);
  assert.equal(mapping.code, 1);
  assert.match(mapping.err, /\(mapping\.type\)/);
  assert.match(mapping.out, /groups +7/);
  assert.match(mapping.page.body, /The test has ended/);
  const copy = path.join(w.folder, 'broken');
  fs.cpSync(w.tenant, copy, { recursive: true });
  const change = (from, to) => fs.writeFileSync(path.join(copy, 'idps/sso.toml'), fs.readFileSync(file('sso'), 'utf8').replace(from, to));
  w.write('wrong-secret', 'x'.repeat(40));
  change(/client_secret = .*/, `client_secret = "file:${w.folder}/wrong-secret"`);
  const secret = await idpTest(['sso', '--dir', copy], walk);
  assert.equal(secret.code, 1);
  assert.match(secret.err, /invalid_client/);
  change(sso.issuer, `${sso.issuer}/`);
  const discovery = await w.cli('operator', ['idp', 'test', 'sso', '--dir', copy, '-o', 'json']);
  assert.equal(discovery.code, 1);
  assert.equal(JSON.parse(discovery.out).error.check, 'discovery.issuer');
  change('[[idp]]', '[[idp]]\nisuer = "x"');
  const config = await w.cli('operator', ['idp', 'test', 'sso', '--dir', copy]);
  assert.equal(config.code, 2);
  assert.match(config.err, /idps\/sso\.toml:\d+: unknown key "isuer"/);
  assert.deepEqual((await tested()).slice(2).map((r) => r.facts.check), ['mapping.type', ...(await tested()).slice(3, 4).map((r) => r.facts.check), 'discovery.issuer']);
});

test('a test is its beginner\'s alone, its browser\'s alone, and leaves sign-ins at the saved provider as they are', { timeout: 60000 }, async () => {
  for (const home of ['ada-1', 'ada-2']) { w.op.next = 'ada'; const done = await loginAs(home, 'ada'); assert.equal(done.code, 0, done.err); }
  const api = (home) => async (method, at, body) => {
    const login = JSON.parse(fs.readFileSync(path.join(w.folder, 'people', home, 'state/daypass/logins.json'))).logins[0];
    const res = await fetch(`${w.url}/t/default/api/v1${at}`, { method, headers: { authorization: `Bearer ${login.token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
    return { status: res.status, json: await res.json() };
  };
  const [one, two] = [api('ada-1'), api('ada-2')];
  const begun = (await one('POST', '/idps/demo/test', {})).json;
  assert.equal(begun.state, 'waiting');
  const [other, none] = [await two('GET', `/idps/demo/test/${begun.id}`), await two('GET', `/idps/demo/test/${'x'.repeat(43)}`)];
  assert.deepEqual([other.status, other.json.check], [404, 'idp_test.unknown']);
  assert.deepEqual({ ...other.json, request_id: '' }, { ...none.json, request_id: '' });
  // Another tenant's administrator refers to no file of the server.
  const files = { 'tenant.toml': fs.readFileSync(path.join(w.tenant, 'tenant.toml'), 'utf8').replace('name = "demo"', 'name = "demo"\nca_file = "/etc/ssl/x.pem"') };
  const foreign = await one('POST', '/idps/demo/test', { files });
  assert.equal(foreign.status, 422);
  assert.match(JSON.stringify(foreign.json.problems), /not the tenant's own/);

  const jar = new Map();
  const first = await browse(linkOf(await browse(begun.url, { jar }), begun.url), { jar, stop: w.op.issuer });
  const stranger = await browse(`${begun.url}&go=1`, { stop: w.op.issuer });
  assert.equal(stranger.status, 403);
  assert.match(stranger.body, /login\.browser/);
  // A sign-in at the provider itself, begun and finished meanwhile.
  const login = await loginAs('dana', 'dana');
  assert.equal(login.code, 0, login.err);
  w.op.next = 'sam';
  const end = await browse(first.url, { jar });
  assert.match(end.body, /The test has ended/);
  const seen = (await one('GET', `/idps/demo/test/${begun.id}`)).json;
  assert.deepEqual([seen.state, seen.identity.principal], ['passed', 'demo/sam']);
  const again = await browse(first.url, { jar });
  assert.match(again.body, /login\.state|unknown, was used already/, 'the state is used up');
  const sessions = (await two('GET', '/sessions')).json.sessions.map((s) => s.principal).sort();
  assert.deepEqual(sessions, ['demo/ada', 'demo/ada', 'demo/dana']);
});
const loginAs = (home, person) => { w.op.next = person; return w.login(home, { visit: (url) => { w.op.next = person; return browse(url); } }); };

test('a SAML provider: pinned, tried, applied, signed in at', { timeout: 60000 }, async () => {
  const add = (...more) => w.cli('operator', ['idp', 'add', '--preset', 'generic', '--protocol', 'saml', '--name', 'corp', '--dir', w.tenant, '--metadata', corp.metadataUrl, ...more]);
  const unpinned = await add();
  assert.equal(unpinned.code, 2);
  const pin = createHash('sha256').update(Buffer.from(certificateOf(corp.metadataXml).replace(/-----[^-]+-----|\s/g, ''), 'base64')).digest('hex');
  assert.ok(unpinned.err.includes(`--pin ${pin}`), unpinned.err);
  const added = await add('--pin', pin, '-o', 'json');
  assert.equal(added.code, 0, added.err);
  const told = JSON.parse(added.out);
  assert.equal(told.register['Entity ID (audience)'], `${w.url}/t/default/idp/corp/metadata`);
  assert.equal(told.issuer, corp.entityId);
  fs.appendFileSync(file('corp'), 'department = { from = "department", required = true }\n');
  fs.writeFileSync(file('corp'), fs.readFileSync(file('corp'), 'utf8').replace('\n[idp.attributes]', 'groups = "groups"\n\n[idp.attributes]'));
  const browser = new Browser();
  const visit = async (url) => signIn(browser, linkOf(await browser.open(url), url), users[0]);
  const good = await idpTest(['corp', '--dir', w.tenant], visit);
  assert.equal(good.code, 0, good.err);
  assert.match(good.page.body, /The test has ended/);
  assert.match(good.out, /User::"corp\/dana"/);
  assert.match(good.out, /department +"data"/);
  users[0].attributes = {};
  const bad = await idpTest(['corp', '--dir', w.tenant], async (url) => { const b = new Browser(); return signIn(b, linkOf(await b.open(url), url), users[0]); });
  assert.equal(bad.code, 1);
  assert.match(bad.err, /\(mapping\.required\)/);
  assert.match(bad.out, /NameID +"dana"/);
  users[0].attributes = { department: 'data' };

  const applied = await w.cli('operator', ['apply', w.tenant, '--yes']);
  assert.equal(applied.code, 0, applied.err);
  const login = await w.login('corp-dana', { args: ['--idp', 'corp'], visit: (url) => signIn(new Browser(), url, users[0]) });
  assert.equal(login.code, 0, login.err);
  sso.next = 'dana';
  const other = await w.login('sso-dana', { args: ['--idp', 'sso'], visit: (url) => { sso.next = 'dana'; return browse(url); } });
  assert.equal(other.code, 0, other.err);
  assert.match((await w.cli('sso-dana', ['ls'])).out, /pg\/orders/);
});
