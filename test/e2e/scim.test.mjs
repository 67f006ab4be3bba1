// A provider tells of its people and groups by SCIM, through the real server, in the requests of Okta and of Entra ID as
// their documentation and their logs have them. What is told takes effect on live psql sessions and on sign-ins under way.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { PlainOp, World, people, until } from './harness.mjs';
import { Browser } from './browser.mjs';

const USER = 'urn:ietf:params:scim:schemas:core:2.0:User', GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', PATCH = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
const token = () => randomBytes(24).toString('base64');

// "demo" tells of people, and claims say their groups; at "acme" and "pushed" the groups are told, too. "plain" tells nothing.
const policies = `@id("demo") @duration("1h") @idle("10m")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("pushed") @duration("1h") @idle("10m")
permit(principal in Group::"pushed/Data Engineers", action == Action::"assume", resource == Role::"pg/orders/reader");
`;
const tokens = { demo: token(), next: token(), pushed: token(), acme: token() };
let w, other;
before(async () => {
  other = await PlainOp.start();
  w = await World.start({
    policies,
    prepare: async (world) => {
      for (const [name, text] of Object.entries(tokens)) world.write(`scim-${name}`, `${text}\n`);
      world.write('short', 'too-short\n');
      world.write('other-secret', `${other.secret}\n`);
      const file = path.join(world.folder, 'tenant/tenant.toml');
      const scim = (name, more = '') => `[idp.scim]\ntokens = ["file:${world.folder}/scim-${name}"]\n${more}`;
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('[idp.attributes]', `${scim('demo')}[idp.attributes]`));
      world.idp = (name) => `[[idp]]\nname = "${name}"\nissuer = "${other.issuer}"\nclient_id = "daypass"\nclient_secret = "file:${world.folder}/other-secret"\n`;
      world.write('tenant/pushed.toml', `${world.idp('pushed')}preset = "okta"\n${scim('pushed', 'groups = true\n')}\n${world.idp('plain')}`);
      world.write('acme/tenant.toml', `${world.idp('demo')}${scim('acme', 'groups = true\n')}`);
      world.write('acme/policies/main.cedar', '@id("nobody") forbid(principal, action, resource);\n');
    },
  });
  for (const args of [['tenants', 'create', 'acme'], ['apply', `${w.folder}/acme`, '--tenant', 'acme', '--yes']]) {
    const done = await w.cli('operator', args);
    assert.equal(done.code, 0, done.err);
  }
});
after(async () => { await w?.stop(); await other?.stop(); });

/** One SCIM request as the client of a provider. */
async function ask(method, at, json, { idp = 'demo', tenant = 'default', bearer = tokens[tenant === 'default' ? idp : tenant], media = 'application/scim+json', raw } = {}) {
  const res = await fetch(`${w.url}/t/${tenant}/idp/${idp}/scim/v2${at}`, {
    method, headers: { ...(bearer !== null && { authorization: `Bearer ${bearer}` }), ...((json || raw) && { 'content-type': media }) }, body: raw ?? (json && JSON.stringify(json)),
  });
  const text = await res.text();
  return { status: res.status, headers: res.headers, text, ...(text && { json: JSON.parse(text) }) };
}
async function ok(status, ...args) {
  const got = await ask(...args);
  assert.equal(got.status, status, `${args[0]} ${args[1]}: ${got.text}`);
  if (got.text) assert.equal(got.headers.get('content-type'), 'application/scim+json');
  return got.json;
}
function refused(got, status, type, name) {
  assert.equal(got.status, status, got.text);
  assert.deepEqual([got.json.schemas, got.json.status, got.json.scimType], [['urn:ietf:params:scim:api:messages:2.0:Error'], String(status), type]);
  assert.ok(got.json.detail.includes(`[${name}, request ${got.headers.get('x-request-id')}]`), got.text);
}
const filtered = (at, filter, more = '') => `${at}?filter=${encodeURIComponent(filter)}${more}`;
const patch = (...Operations) => ({ schemas: [PATCH], Operations });
const members = (...users) => users.map(({ id }) => ({ value: id }));

let count = 0;
/** Somebody of the OpenID provider whom no other test has. */
function person(name) {
  const sub = `${name}-${count += 1}`;
  people[sub] = { sub, name, groups: ['data'], department: 'data' };
  return sub;
}
const oktaUser = (sub, change = {}) => ({ schemas: [USER], userName: `${sub}@corp.example`, name: { givenName: sub, familyName: 'Doe' }, emails: [{ primary: true, value: `${sub}@corp.example`, type: 'work' }], displayName: sub, locale: 'en-US', externalId: sub, groups: [], password: 'Sup3r-secret-of-okta', active: true, ...change });
const check = (page) => page?.body.match(/Check <code>([^<]+)<\/code>/)?.[1] ?? `none: ${page?.status} ${page?.body}`;
const json = async (...args) => { const done = await w.cli(...args); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const session = async (home) => (await json(home, ['status', '-o', 'json']));
const login = (home, sub, { idp = 'demo', browser = new Browser() } = {}) => w.login(home, { args: ['--idp', idp], visit: (url) => { w.op.next = sub; other.sub = sub; return browser.open(url); } });
async function loggedIn(home, sub, how) {
  const done = await login(home, sub, how);
  assert.equal(done.code, 0, done.err + done.page?.body);
}
async function keptOut(home, sub, how) {
  const done = await login(home, sub, how);
  assert.notEqual(done.code, 0, 'signed in');
  assert.equal(check(done.page), 'login.deactivated');
}
const lives = async (home) => assert.equal((await w.cli(home, ['status'])).code, 0, `the login of ${home} lives on`);
async function over(home) {
  const status = await w.cli(home, ['status']);
  assert.equal(status.code, 4, `${home}: ${status.out}${status.err}`);
}
/** psql that runs until it is cut; it is running when this comes back. */
async function running(home, seconds) {
  const query = `SELECT pg_sleep(${seconds})`;
  const ended = w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', '-c', query]);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE query = '${query}'`)).length === 1, `the query of ${home}`);
  return { ended };
}
const noRoles = () => until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');
const audited = async (action, id) => (await w.audit()).filter((r) => r.action === action && (!id || r.object === id));

test('as Okta sends it: test, create, read, update, deactivate with a live psql, reactivate, delete', async () => {
  const sub = person('okta'), other_ = person('okta');
  // What it asks when the integration is switched on.
  const first = await ok(200, 'GET', '/Users?startIndex=1&count=2');
  assert.deepEqual([first.schemas, first.totalResults, first.startIndex, first.itemsPerPage], [['urn:ietf:params:scim:api:messages:2.0:ListResponse'], 0, 1, 0]);
  await ok(200, 'GET', '/Groups?startIndex=1&count=100');
  assert.equal((await ok(200, 'GET', filtered('/Users', `userName eq "${sub}@corp.example"`, '&startIndex=1&count=100'))).totalResults, 0);

  const made = await ask('POST', '/Users', oktaUser(sub), { media: 'application/scim+json; charset=utf-8' });
  assert.equal(made.status, 201, made.text);
  const { id } = made.json;
  assert.equal(made.headers.get('location'), `${w.url}/t/default/idp/demo/scim/v2/Users/${id}`);
  assert.equal(made.json.meta.location, made.headers.get('location'));
  assert.ok(!made.text.includes('Sup3r') && !made.text.includes('password'));
  assert.deepEqual(await ok(200, 'GET', `/Users/${id}`), made.json);
  assert.deepEqual((await ok(200, 'GET', filtered('/Users', `userName eq "${sub.toUpperCase()}@corp.example"`))).Resources, [made.json]);
  const theirs = await ok(201, 'POST', '/Users', oktaUser(other_));
  refused(await ask('POST', '/Users', oktaUser(sub)), 409, 'uniqueness', 'scim.uniqueness');

  await loggedIn('okta', sub);
  await loggedIn('colleague', other_);
  const cut = await running('okta', 201), goes = await running('colleague', 202);
  // A profile's change is no reason to end anything.
  const updated = await ok(200, 'PUT', `/Users/${id}`, { ...oktaUser(sub, { name: { givenName: 'New', familyName: 'Name' } }), id, meta: made.json.meta });
  assert.deepEqual([updated.name, updated.active, updated.meta.created], [{ familyName: 'Name', givenName: 'New' }, true, made.json.meta.created]);
  await lives('okta');

  assert.equal((await ok(200, 'PUT', `/Users/${id}`, { ...oktaUser(sub), id, active: false })).active, false);
  const psql = await cut.ended;
  assert.notEqual(psql.code, 0);
  assert.match(psql.err, /grant gr_\w+ on pg\/orders ended: the identity provider ended the session/);
  await over('okta');
  await keptOut('okta', sub);
  await until(async () => (await w.pg.roles()).length === 1, 'the account of that login to be gone');
  await lives('colleague');
  const [record] = await audited('scim.user_deactivated', id);
  assert.deepEqual(record.facts, { idp: 'demo', active: false, sessions_ended: 1 });
  assert.equal(record.actor, 'demo');

  // Silence about `active` activates nobody; saying it does.
  const { active, ...silent } = oktaUser(sub);
  assert.equal(active, true);
  assert.equal((await ok(200, 'PUT', `/Users/${id}`, silent)).active, false);
  await keptOut('okta', sub);
  assert.equal((await ok(200, 'PATCH', `/Users/${id}`, patch({ op: 'replace', value: { active: true } }))).active, true);
  await loggedIn('okta', sub);

  const again = await running('okta', 203);
  await ok(204, 'DELETE', `/Users/${id}`);
  assert.notEqual((await again.ended).code, 0);
  await over('okta');
  await keptOut('okta', sub);
  refused(await ask('GET', `/Users/${id}`), 404, undefined, 'scim.not_found');
  refused(await ask('DELETE', `/Users/${id}`), 404, undefined, 'scim.not_found');
  // Assigned again it is made again, and comes in again.
  const back = await ok(201, 'POST', '/Users', oktaUser(sub));
  assert.notEqual(back.id, id);
  await loggedIn('okta', sub);
  await ok(200, 'PATCH', `/Users/${theirs.id}`, patch({ op: 'replace', value: { active: false } }));
  assert.notEqual((await goes.ended).code, 0);
  await lives('okta');
  await noRoles();
});

test('as Entra ID sends it: probe, match, create, PATCH with its own spellings, disable, delete', async () => {
  const sub = randomUUID();
  people[sub] = { sub, name: 'Entra', groups: ['data'], department: 'data' };
  assert.deepEqual((await ok(200, 'GET', filtered('/Users', `userName eq "${randomUUID()}"`))).Resources, []);
  assert.equal((await ok(200, 'GET', filtered('/Users', `externalId eq "${sub}"`))).totalResults, 0);
  const sent = {
    schemas: [USER, ENTERPRISE], externalId: sub, userName: 'Entra.User@corp.example', active: 'True', addresses: null, displayName: 'Entra User',
    emails: [{ type: 'work', value: 'entra@corp.example', primary: 'True' }], meta: { resourceType: 'User' }, name: { formatted: 'Entra User', familyName: 'User', givenName: 'Entra' },
    phoneNumbers: [], preferredLanguage: null, roles: [], title: 'Engineer', [ENTERPRISE]: { department: 'Data', employeeNumber: null },
  };
  const { id } = await ok(201, 'POST', '/Users', sent, { media: 'application/json' });
  await loggedIn('entra', sub);
  const goes = await running('entra', 204);
  const changed = await ok(200, 'PATCH', `/Users/${id}`, patch(
    { op: 'Replace', path: 'emails[type eq "work"].value', value: 'new@corp.example' },
    { op: 'Add', path: 'emails[type eq "other"].value', value: 'other@corp.example' },
    { op: 'Replace', path: 'name.familyName', value: 'Surname' },
    { op: 'Add', path: 'title', value: 'Manager' },
    { op: 'Add', path: 'addresses[type eq "work"].locality', value: 'Town' },
    { op: 'Add', path: `${ENTERPRISE}:manager`, value: id },
    { op: 'Replace', path: `${ENTERPRISE}:department`, value: 'Platform' },
    { op: 'Replace', value: { displayName: 'E. Surname', 'name.givenName': 'E.', 'emails[type eq "work"].primary': true } },
  ));
  assert.deepEqual(changed.emails, [{ value: 'new@corp.example', type: 'work', primary: true }, { value: 'other@corp.example', type: 'other' }]);
  assert.deepEqual(changed.name, { formatted: 'Entra User', familyName: 'Surname', givenName: 'E.' });
  assert.deepEqual([changed.displayName, changed[ENTERPRISE]], ['E. Surname', { department: 'Platform' }]);
  await lives('entra');
  const disable = patch({ op: 'Replace', path: 'active', value: 'False' });
  const all = await ask('PATCH', `/Users/${id}`, patch({ op: 'Replace', path: 'active', value: 'False' }, { op: 'Replace', path: 'emails[type eq "x" or type eq "y"].value', value: 'z' }));
  refused(all, 400, 'noTarget', 'scim.target');
  await lives('entra');
  assert.equal((await ok(200, 'GET', `/Users/${id}`)).active, true, 'all of a PATCH or nothing');

  assert.equal((await ok(200, 'PATCH', `/Users/${id}`, disable)).active, false);
  assert.notEqual((await goes.ended).code, 0);
  await over('entra');
  await keptOut('entra', sub);
  // Sent again it is the same answer, and nothing happens.
  const log = (await audited('scim.user_deactivated', id)).length;
  assert.equal((await ok(200, 'PATCH', `/Users/${id}`, disable)).active, false);
  assert.equal((await audited('scim.user_deactivated', id)).length, log);
  assert.equal((await ok(200, 'GET', filtered('/Users', `id eq "${id}" and active eq false`, '&attributes=id'))).Resources[0].id, id);
  await ok(200, 'PATCH', `/Users/${id}`, patch({ op: 'Replace', path: 'active', value: 'True' }));
  await loggedIn('entra', sub);
  await ok(204, 'DELETE', `/Users/${id}`);
  await over('entra');
  await keptOut('entra', sub);
  await noRoles();
});

test('whom SCIM never named signs in; a name without what sign-ins are recognised by is refused', async () => {
  const sub = person('stranger');
  await loggedIn('stranger', sub);
  const { externalId, ...nameless } = oktaUser(person('nameless'));
  assert.ok(externalId);
  const got = await ask('POST', '/Users', nameless);
  refused(got, 400, 'invalidValue', 'scim.value');
  assert.match(got.json.detail, /externalId is missing: it must be what sign-ins of this person have as their subject/);
  // Told of as inactive from the beginning: out at once.
  await ok(201, 'POST', '/Users', oktaUser(sub, { active: false }));
  await over('stranger');
  await keptOut('stranger', sub);
});

test('a subject that changes leaves the old one out, and is nobody else’s', async () => {
  const [old, fresh] = [person('old'), person('fresh')];
  const { id } = await ok(201, 'POST', '/Users', oktaUser(old));
  await loggedIn('old', old);
  await ok(200, 'PATCH', `/Users/${id}`, patch({ op: 'replace', path: 'externalId', value: fresh }));
  await over('old');
  await keptOut('old', old);
  await loggedIn('old', fresh);
  refused(await ask('POST', '/Users', oktaUser(person('thief'), { externalId: fresh })), 409, 'uniqueness', 'scim.uniqueness');
  refused(await ask('PATCH', `/Users/${id}`, patch({ op: 'remove', path: 'externalId' })), 400, 'invalidValue', 'scim.value');
  refused(await ask('PATCH', `/Users/${id}`, patch({ op: 'replace', path: 'id', value: 'x' })), 400, 'mutability', 'scim.mutability');
});

test('without the right token there is one answer, whatever is not there', async () => {
  const { id } = await ok(201, 'POST', '/Users', oktaUser(person('guarded')));
  const places = [['default', 'demo'], ['default', 'plain'], ['default', 'nothing'], ['acme', 'demo'], ['nowhere', 'demo'], ['UPPER', 'demo']];
  const requests = [['GET', '/Users'], ['GET', `/Users/${id}`], ['POST', '/Users', oktaUser(person('x'))], ['PATCH', `/Users/${id}`, patch({ op: 'replace', value: { active: false } })], ['DELETE', `/Users/${id}`], ['GET', '/ServiceProviderConfig'], ['PUT', `/Groups/${id}`, { nonsense: true }]];
  const answers = new Set();
  for (const [tenant, idp] of places) {
    for (const bearer of [null, token(), tokens.pushed, `${tokens.demo}x`, tokens.demo.slice(0, -1), tokens.demo]) {
      if (tenant === 'default' && idp === 'demo' && bearer === tokens.demo) continue;
      for (const request of requests) {
        const got = await ask(...request, ...(request.length === 2 ? [undefined] : []), { tenant, idp, bearer });
        assert.equal(got.status, 401, `${tenant} ${idp} ${request}: ${got.text}`);
        assert.equal(got.headers.get('www-authenticate'), 'Bearer realm="daypass"');
        answers.add(`${[...got.headers].filter(([k]) => !['date', 'x-request-id', 'content-length'].includes(k)).map(String).join()} ${got.text.replace(got.headers.get('x-request-id'), '')}`);
      }
    }
  }
  assert.equal(answers.size, 1, [...answers].join('\n'));
  const { access_token: dana } = JSON.parse(fs.readFileSync(await tokenFile('okta'), 'utf8'));
  assert.equal((await ask('GET', '/Users', undefined, { bearer: dana })).status, 401, "a login's token is none");
  assert.equal((await ok(200, 'GET', `/Users/${id}`)).active, true);
});
/** Where the command line of `home` keeps its token; of a fresh login. */
async function tokenFile(home) {
  await loggedIn(home, person('token'));
  const folder = path.join(w.folder, 'people', home, 'state');
  const found = fs.readdirSync(folder, { recursive: true }).map((f) => path.join(folder, f)).filter((f) => fs.statSync(f).isFile() && fs.readFileSync(f, 'utf8').includes('dpt_'));
  assert.ok(found.length > 0);
  const text = fs.readFileSync(found[0], 'utf8').match(/dpt_[\w-]+/)[0];
  return w.write('token.json', JSON.stringify({ access_token: text }));
}

test('tokens are changed without a gap; one that is short or missing is told at apply', async () => {
  const file = path.join(w.folder, 'tenant/tenant.toml'), text = fs.readFileSync(file, 'utf8');
  const apply = async (list) => {
    fs.writeFileSync(file, text.replace(/tokens = \[[^\]]*\]/, `tokens = [${list.map((n) => `"file:${w.folder}/${n}"`)}]`));
    return w.cli('operator', ['apply', w.tenant, '--yes']);
  };
  const works = async (name) => (await ask('GET', '/Users?count=0', undefined, { bearer: tokens[name] })).status;
  assert.equal((await apply(['scim-demo', 'scim-next'])).code, 0);
  assert.deepEqual([await works('demo'), await works('next')], [200, 200]);
  assert.equal((await apply(['scim-next'])).code, 0);
  assert.deepEqual([await works('demo'), await works('next')], [401, 200]);
  for (const [name, message] of [['short', /less than 24 characters/], ['missing', /No such file/]]) {
    const done = await apply([name]);
    assert.notEqual(done.code, 0);
    assert.match(done.err + done.out, message);
    assert.equal(await works('next'), 200, 'nothing was changed');
  }
  // Read at each request: the file's new text is good at once.
  w.write('scim-next', `${tokens.demo}\n`);
  assert.deepEqual([await works('demo'), await works('next')], [200, 401]);
  assert.equal((await apply(['scim-demo'])).code, 0);
});

test('a broken request is refused with what is wrong, and nothing happens', async () => {
  const { id } = await ok(201, 'POST', '/Users', oktaUser(person('firm')));
  const say = (method, at, body, how) => ask(method, at, body, how);
  refused(await say('POST', '/Users', undefined, { raw: '{"userName":' }), 400, 'invalidSyntax', 'json.syntax');
  refused(await say('POST', '/Users', undefined, { raw: `{"userName":"a","userName":"b","externalId":"c"}` }), 400, 'invalidSyntax', 'json.duplicate_key');
  refused(await say('POST', '/Users', undefined, { raw: '['.repeat(50) + ']'.repeat(50) }), 400, 'invalidSyntax', 'json.too_deep');
  refused(await say('POST', '/Users', undefined, { raw: `"${'x'.repeat(1 << 20)}"` }), 413, 'invalidSyntax', 'json.too_large');
  refused(await say('POST', '/Users', oktaUser('x'), { media: 'text/plain' }), 415, undefined, 'scim.media_type');
  refused(await say('GET', filtered('/Users', 'userName gt "a"')), 400, 'invalidFilter', 'scim.filter');
  refused(await say('GET', filtered('/Users', '('.repeat(1000))), 400, 'invalidFilter', 'scim.filter');
  refused(await say('GET', '/Users?count=many'), 400, 'invalidValue', 'scim.value');
  refused(await say('PATCH', `/Users/${id}`, patch({ op: 'replace', path: 'actve', value: false })), 400, 'invalidPath', 'scim.path');
  refused(await say('PATCH', `/Users/${id}`, patch(...Array.from({ length: 1001 }, () => ({ op: 'replace', path: 'active', value: false })))), 400, 'tooMany', 'scim.too_many');
  refused(await say('PATCH', '/Users/su_nobody', patch({ op: 'replace', path: 'active', value: false })), 404, undefined, 'scim.not_found');
  refused(await say('GET', '/Schemas/urn:nothing'), 404, undefined, 'scim.not_found');
  assert.equal((await say('POST', '/ServiceProviderConfig', {})).status, 405);
  assert.equal((await ok(200, 'GET', `/Users/${id}`)).active, true);
  for (const at of ['/ServiceProviderConfig', '/ResourceTypes', '/ResourceTypes/User', '/Schemas', `/Schemas/${USER}`]) await ok(200, 'GET', at);
});

test('pages hold everybody once, in one order', async () => {
  const made = [];
  for (let i = 0; i < 7; i += 1) made.push((await ok(201, 'POST', '/Users', oktaUser(`page-${i}`), { idp: 'demo', tenant: 'acme' })).id);
  const list = (more) => ok(200, 'GET', `/Users?${more}`, undefined, { tenant: 'acme' });
  const seen = [];
  for (let start = 1; start <= 7; start += 3) {
    const page = await list(`startIndex=${start}&count=3`);
    assert.equal(page.totalResults, 7);
    assert.equal(page.startIndex, start);
    seen.push(...page.Resources.map((r) => r.id));
  }
  assert.deepEqual(seen, made);
  assert.deepEqual((await list('count=0')).Resources, []);
  assert.deepEqual((await list('startIndex=8')).Resources, []);
  const some = await list(`filter=${encodeURIComponent('userName sw "page-" and not (userName co "page-3")')}&startIndex=3&count=2&attributes=userName`);
  assert.deepEqual([some.totalResults, some.Resources.map((r) => r.userName)], [6, ['page-2@corp.example', 'page-4@corp.example']]);
  assert.deepEqual(Object.keys(some.Resources[0]), ['schemas', 'id', 'userName']);
  // The same people in the other tenant are others.
  assert.equal((await ask('GET', `/Users/${made[0]}`)).status, 404);
  const twin = await ok(201, 'POST', '/Users', oktaUser('page-0'));
  await ok(204, 'DELETE', `/Users/${made[0]}`, undefined, { tenant: 'acme' });
  assert.equal((await ok(200, 'GET', `/Users/${twin.id}`)).active, true);
});

test('a sign-in that is under way when somebody is deactivated is not finished', async (t) => {
  const sub = person('under-way');
  const { id } = await ok(201, 'POST', '/Users', oktaUser(sub));
  for (const step of ['the code is on its way', 'the code is at the provider']) {
    let reach, go;
    const reached = new Promise((r) => { reach = r; }), open = new Promise((r) => { go = r; });
    const stop = () => { reach(); return open; };
    t.after(() => { go(); w.op.guard = undefined; });
    const browser = new Browser();
    if (step === 'the code is on its way') browser.before = async (url) => { if (url.includes('/callback?')) await stop(); };
    else w.op.guard = async (req) => { if (req.url.startsWith('/token')) await stop(); };
    const done = login('under-way', sub, { browser });
    await reached;
    await ok(200, 'PATCH', `/Users/${id}`, patch({ op: 'replace', value: { active: false } }));
    go();
    w.op.guard = undefined;
    assert.equal(check((await done).page), 'login.deactivated', step);
    await ok(200, 'PATCH', `/Users/${id}`, patch({ op: 'replace', value: { active: true } }));
  }
  await loggedIn('under-way', sub);
});

test('what was acknowledged holds after SIGKILL', async () => {
  const sub = person('killed');
  const { id } = await ok(201, 'POST', '/Users', oktaUser(sub));
  await loggedIn('killed', sub);
  const cut = await running('killed', 205);
  const got = await ask('PATCH', `/Users/${id}`, patch({ op: 'replace', value: { active: false } }));
  w.server.kill('SIGKILL');
  assert.equal(got.status, 200);
  await once(w.server, 'exit');
  assert.notEqual((await cut.ended).code, 0);
  await w.startServer();
  await over('killed');
  await keptOut('killed', sub);
  assert.equal((await ok(200, 'GET', `/Users/${id}`)).active, false);
  await noRoles();
});

test('nothing of a person lies in the store or the logs as it was sent', async () => {
  const name = `canary${randomBytes(6).toString('hex')}`;
  await ok(201, 'POST', '/Users', oktaUser(name, { userName: `${name}@corp.example` }));
  await ok(201, 'POST', '/Groups', { schemas: [GROUP], displayName: 'seen', externalId: name });
  const files = fs.readdirSync(w.data, { recursive: true }).map((f) => path.join(w.data, f)).filter((f) => fs.statSync(f).isFile());
  assert.ok(files.length > 3);
  for (const f of files) {
    const bytes = fs.readFileSync(f);
    for (const word of [name, tokens.demo, 'Sup3r-secret-of-okta']) assert.ok(!bytes.includes(word), `${f} holds ${word}`);
  }
  for (const word of [name, tokens.demo]) assert.ok(!w.serverLog.includes(word));
  assert.ok(!JSON.stringify(await w.audit()).includes(name));
});

test('groups as Okta pushes them and as Entra ID does are the groups of sign-ins, and only they', async () => {
  const how = { idp: 'pushed' }, sub = 'dana';  // whom the other provider always signs in
  const go = (...args) => ok(...args, ...(args.length === 3 ? [undefined] : []), how);
  const groups = async (home) => (await session(home)).groups ?? (await session(home)).session?.groups;
  // Claims say that dana is in "data": they don't count here.
  await loggedIn('pushed', sub, how);
  assert.deepEqual(await groups('pushed'), []);
  const user = await go(201, 'POST', '/Users', oktaUser(sub)), second = await go(201, 'POST', '/Users', oktaUser('second'));
  // Okta: an empty group, then its members.
  const { id } = await go(201, 'POST', '/Groups', { schemas: [GROUP], displayName: 'Data Engineers', members: [] });
  refused(await ask('POST', '/Groups', { schemas: [GROUP], displayName: 'DATA engineers' }, how), 409, 'uniqueness', 'scim.uniqueness');
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'add', path: 'members', value: [{ value: user.id, display: 'x' }, { value: second.id, display: 'y' }] }));
  assert.deepEqual((await go(200, 'GET', `/Groups/${id}`)).members.map((m) => m.value).sort(), [user.id, second.id].sort());
  await loggedIn('pushed', sub, how);
  assert.deepEqual(await groups('pushed'), ['Data Engineers']);
  // Entra ID's looks.
  const found = await go(200, 'GET', filtered('/Groups', 'displayName eq "Data Engineers"', '&excludedAttributes=members'));
  assert.deepEqual([found.totalResults, found.Resources[0].id, found.Resources[0].members], [1, id, undefined]);
  assert.equal((await go(200, 'GET', filtered('/Groups', `id eq "${id}" and members eq "${user.id}"`))).totalResults, 1);
  assert.equal((await go(200, 'GET', filtered('/Groups', `id eq "${id}" and members eq "su_nobody"`))).totalResults, 0);
  refused(await ask('PATCH', `/Groups/${id}`, patch({ op: 'Add', path: 'members', value: [{ value: 'su_nobody' }] }), how), 400, 'invalidValue', 'scim.value');
  refused(await ask('PATCH', `/Groups/${id}`, patch({ op: 'Add', path: 'members', value: [{ value: id, type: 'Group' }] }), how), 400, 'invalidValue', 'scim.value');

  // A live grant that hung on the group goes with it.
  const cut = await running('pushed', 206);
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'Remove', path: 'members', value: [{ $ref: null, value: second.id }] }));
  assert.deepEqual((await go(200, 'GET', `/Groups/${id}`)).members.map((m) => m.value), [user.id], 'the one that was named');
  await lives('pushed');
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'remove', path: `members[value eq "${user.id}"]` }));
  const psql = await cut.ended;
  assert.notEqual(psql.code, 0);
  assert.match(psql.err, /policy no longer permits it/);
  await lives('pushed');
  assert.deepEqual(await groups('pushed'), []);
  // And back, in a session that lives on; renamed, it is another group to policies.
  const whole = await go(200, 'PUT', `/Groups/${id}`, { schemas: [GROUP], id, displayName: 'Data Engineers', members: members(user, second) });
  assert.equal(whole.members.length, 2);
  assert.deepEqual(await groups('pushed'), ['Data Engineers']);
  const next = await running('pushed', 207);
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'replace', value: { id, displayName: 'Renamed' } }));
  assert.notEqual((await next.ended).code, 0);
  assert.deepEqual(await groups('pushed'), ['Renamed']);
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'replace', path: 'members', value: members(second) }));
  assert.deepEqual(await groups('pushed'), []);
  await go(204, 'PATCH', `/Groups/${id}`, patch({ op: 'add', value: { members: members(user) } }));
  assert.deepEqual(await groups('pushed'), ['Renamed']);
  await go(204, 'DELETE', `/Groups/${id}`);
  assert.deepEqual(await groups('pushed'), []);
  await go(204, 'DELETE', `/Users/${second.id}`);
  await noRoles();
});

test('a deleted tenant is one that never was, and its people are nobody’s', async () => {
  const deleted = await w.cli('operator', ['tenants', 'delete', 'acme', '--yes']);
  assert.equal(deleted.code, 0, deleted.err);
  assert.equal((await ask('GET', '/Users', undefined, { tenant: 'acme' })).status, 401);
  assert.equal((await ask('GET', '/Users?count=1')).status, 200);
  const { stdout: metrics } = { stdout: await (await fetch(`${w.url}/metrics`)).text() };
  assert.match(metrics, /^daypass_scim_changes_total [1-9]/m);
  assert.match(metrics, /^daypass_scim_users_ended_total [1-9]/m);
});
