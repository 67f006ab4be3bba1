// Each identity provider here with the real server: sign-in, decision by a group, a psql session, logout, cut, and the same by a
// logout at the provider where it tells of one; one line per provider. DAYPASS=… node interop.mjs [name…]. npm oidc-provider
// serves the same tenant all the time, as "demo". Then two tenants of two providers each, at once ("tenants").
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { Postgres, World, until } from '../harness.mjs';
import { Browser, signIn } from '../browser.mjs';
import { keyPair, said, unescape } from './parts.mjs';

if (!process.env.DAYPASS) throw new Error('DAYPASS must name the binary');
const users = [
  { name: 'dana', password: 'password of dana', attributes: { displayName: 'Dana', department: 'data' }, groups: ['data', 'R&D <all>'] },
  { name: 'sam', password: 'password of sam', attributes: { displayName: 'Sam', department: 'support' }, groups: ['support', 'on call'] },
];
const [dana, sam] = users;
const policies = `@id("corp-read")
permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("demo-write")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/writer");
`;
const mapped = 'groups = "groups"\ndisplay_from = "displayName"\n[idp.attributes]\ndepartment = "department"\n';

const fact = (ok, what) => { if (!ok) throw new Error(what); };
const same = (got, expected, what) => fact(JSON.stringify(got) === JSON.stringify(expected), `${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);

// A provider by either protocol, `at` {tenant, folder, idp}: what is known before the server runs, and then the provider.
const base = (w, at) => `${w.url}/t/${at.tenant}/idp/${at.idp}`;
const file = (w, at, kind) => `${w.folder}/${at.tenant}-${at.idp}.${kind}`;
const corp = { tenant: 'default', folder: 'tenant', idp: 'corp' };
const kinds = {
  SAML: {
    entry: (w, at, { entityId }) => w.write(`${at.folder}/${at.idp}.toml`, `[[idp]]\nname = "${at.idp}"\nprotocol = "saml"\nissuer = "${entityId}"\nmetadata = "file:${file(w, at, 'xml')}"\nsp_keys = ["file:${file(w, at, 'pem')}"]\n${mapped}`),
    prepare(w, at) {
      const { key, cert } = keyPair(w.folder, `${at.tenant}-${at.idp}`);
      w.write(`${at.tenant}-${at.idp}.pem`, key + cert);
      // Daypass's metadata is there before its provider is known: providers that read metadata are given that.
      kinds.SAML.entry(w, at, { entityId: 'https://unknown.example/metadata' });
      return cert;
    },
    async start(module, w, at, scratch, cert, more) {
      const metadataXml = await (await fetch(`${base(w, at)}/metadata`)).text();
      const provider = await module.start({ scratch, users, ...more, sps: [{ entityId: `${base(w, at)}/metadata`, acs: `${base(w, at)}/callback`, slo: `${base(w, at)}/logout`, cert, metadataXml }] });
      w.write(`${at.tenant}-${at.idp}.xml`, provider.metadataXml);
      kinds.SAML.entry(w, at, provider);
      return provider;
    },
  },
  OIDC: {
    entry: (w, at, { issuer, caFile }) => w.write(`${at.folder}/${at.idp}.toml`, `[[idp]]\nname = "${at.idp}"\nissuer = "${issuer}"\nclient_id = "daypass"\nclient_secret = "file:${file(w, at, 'secret')}"\nscopes = ["profile"]\n${caFile ? `ca_file = "${caFile}"\n` : ''}${mapped}`),
    prepare(w, at) {
      const secret = randomBytes(24).toString('base64url');
      w.write(`${at.tenant}-${at.idp}.secret`, secret);
      kinds.OIDC.entry(w, at, { issuer: 'https://unknown.example' });
      return secret;
    },
    async start(module, w, at, scratch, clientSecret) {
      const provider = await module.startOidc({ scratch, users, clients: [{ clientId: 'daypass', clientSecret, redirectUri: `${base(w, at)}/callback`, backchannel: `${base(w, at)}/logout` }] });
      kinds.OIDC.entry(w, at, provider);
      return provider;
    },
  },
};

async function apply(w, { tenant, folder }) {
  const applied = await w.cli('operator', ['apply', path.join(w.folder, folder), '--tenant', tenant, '--yes']);
  fact(applied.code === 0, `apply: ${applied.err}`);
}

async function login(w, home, idp, user, browser = new Browser(), tenant = 'default') {
  const done = await w.login(home, { args: ['--tenant', tenant, '--idp', idp], visit: (url) => { w.op.next = user.name; return signIn(browser, url, user); } });
  fact(done.code === 0, `${user.name} at ${idp} of ${tenant}: ${done.page && !done.page.ok ? said(done.page) : done.err}`);
  const status = await w.cli(home, ['status', '-o', 'json']);
  fact(status.code === 0, status.err);
  return JSON.parse(status.out).session;
}

/** Signs out at the provider itself, as a person does: at its own page, past its question or through its frames. */
async function leave(browser, provider) {
  const carried = async (page) => {
    for (let step = 0; step < 8; step += 1) {
      const carrier = page.forms.find((f) => 'SAMLRequest' in f.fields || 'SAMLResponse' in f.fields);
      if (!carrier) return page;
      page = await browser.submit(carrier);
    }
    throw new Error(`the logout goes on and on: ${said(page)}`);
  };
  const page = await carried(await browser.open(provider.logoutAt));
  const frames = [...page.body.matchAll(/<iframe\b[^>]*\ssrc="([^"]+)"/g)];
  for (const [, src] of frames) await carried(await browser.open(unescape(src)));
  if (!frames.length && page.forms.length) await carried(await browser.submit(page.forms[0]));
}

/** Signs out with `daypass logout --provider`: through whatever the provider shows, up to our last page. */
async function signOutThere(w, home, browser) {
  const out = await w.cli(home, ['logout', '--provider', '--no-browser']);
  fact(out.code === 0, out.err);
  same((await w.cli(home, ['status'])).code, 4, 'status before the provider is asked: exit code');
  let page = await browser.open(out.err.match(/^ {2}(http:\S+)$/m)[1]);
  for (let step = 0; step < 8; step += 1) {
    const carrier = page.forms.find((f) => 'SAMLRequest' in f.fields || 'SAMLResponse' in f.fields) ?? page.forms[0];
    if (page.url.startsWith(w.url) && !carrier) return page;
    if (!carrier) throw new Error(`the logout ends elsewhere: ${said(page)}`);
    page = await browser.submit(carrier, carrier.action.endsWith('/session/end/confirm') ? { logout: 'yes' } : {});
  }
  throw new Error(`the logout goes on and on: ${said(page)}`);
}

const roles = async (w, home) => JSON.parse((await w.cli(home, ['ls', '-o', 'json'])).out).roles.map((r) => r.role);
const connect = (w, home, role, sql) => w.cli(home, ['connect', 'pg/orders', '--role', role, '--', '-X', '-At', '-c', sql]);
const sleeping = async (pg) => (await pg.sql("SELECT query FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%' ORDER BY 1")).map((r) => r.query);

async function story(w, provider) {
  const browser = new Browser();
  const first = await login(w, 'dana-corp', 'corp', dana, browser);
  fact(first.principal.startsWith('corp/'), first.principal);
  same([first.display, first.attributes.department, first.groups.toSorted()], ['Dana', 'data', dana.groups.toSorted()], 'what is known of dana');
  const other = await login(w, 'sam-corp', 'corp', sam);
  fact(other.principal !== first.principal, `sam is ${other.principal}, as dana is`);
  await login(w, 'dana', 'demo', dana, browser);
  same(await roles(w, 'dana-corp'), ['pg/orders/reader'], 'roles of dana');
  same(await roles(w, 'sam-corp'), [], 'roles of sam');
  same(await roles(w, 'dana'), ['pg/orders/writer'], 'roles of dana at the other provider');
  same((await connect(w, 'sam-corp', 'reader', 'SELECT 1')).code, 3, 'sam as reader: exit code');

  const read = await connect(w, 'dana-corp', 'reader', "SELECT count(*), pg_has_role('orders_reader', 'USAGE'), pg_has_role('orders_writer', 'USAGE') FROM orders");
  same([read.code, read.out.trim()], [0, '1000|t|f'], `psql of dana (${read.err.trim()})`);
  const running = connect(w, 'dana-corp', 'reader', 'SELECT pg_sleep(100)');
  const elsewhere = connect(w, 'dana', 'writer', 'SELECT pg_sleep(101)');
  const queries = () => sleeping(w.pg);
  await until(async () => (await queries()).length === 2, 'both queries');
  const began = Date.now();
  const out = await w.cli('dana-corp', ['logout']);
  fact(out.code === 0, out.err);
  const cut = await running;
  await until(async () => (await queries()).length === 1, 'the query to end');
  const took = Date.now() - began;
  fact(cut.code !== 0 && /ended: you logged out/.test(cut.err), `after the logout: exit ${cut.code}, ${cut.err}`);
  same(await queries(), ['SELECT pg_sleep(101)'], 'queries that go on');
  same((await w.cli('dana-corp', ['status'])).code, 4, 'status after the logout: exit code');
  // The provider still knows its visitor, and may answer at once.
  const back = await login(w, 'dana-corp', 'corp', dana, browser);
  same(back.principal, first.principal, 'dana at the next sign-in');
  let there;
  if (provider.logoutAt) {
    const again = connect(w, 'dana-corp', 'reader', 'SELECT pg_sleep(102)');
    await until(async () => (await queries()).length === 2, 'the query after the next sign-in');
    const left = Date.now();
    await leave(browser, provider);
    const ended = await again;
    await until(async () => (await queries()).length === 1, 'the query to end by the logout at the provider');
    there = Date.now() - left;
    fact(ended.code !== 0 && /ended: the identity provider ended the session/.test(ended.err), `after the logout at the provider: exit ${ended.code}, ${ended.err}`);
    same(await queries(), ['SELECT pg_sleep(101)'], 'queries that go on after the logout at the provider');
    same((await w.cli('dana-corp', ['status'])).code, 4, 'status after the logout at the provider: exit code');
    same((await w.cli('sam-corp', ['status'])).code, 0, 'status of sam after that: exit code');
  }
  // Begun here, and then there: after that the provider asks for the password again.
  await login(w, 'dana-corp', 'corp', dana, browser);
  const end = await signOutThere(w, 'dana-corp', browser);
  const heading = end.body.match(/<h1>([^<]*)</)?.[1];
  fact(heading === (provider.protocol === 'saml' ? 'Signed out' : 'Back from the identity provider'), `after daypass logout --provider: ${said(end)}`);
  const asked = browser.sent.length;
  await login(w, 'dana-corp', 'corp', dana, browser);
  fact(browser.sent.slice(asked).some((s) => Object.values(s.fields ?? {}).includes(dana.password)), 'the provider asked for no password after the sign-out');
  for (const home of ['dana-corp', 'dana', 'sam-corp']) await w.cli(home, ['logout']);
  await elsewhere;
  await until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');
  return `logout, cut after ${took} ms${there === undefined ? '' : `; logout at the provider, cut after ${there} ms`}; logout there from here`;
}

/** Two tenants, a SAML and an OpenID provider each under the same names: all four at once, and one of them ends. */
async function tenants(w, scratch, start) {
  const other = await Postgres.start(w.folder, { name: 'postgres-acme' });
  start.push(other);
  await other.prepareOrders();
  for (const [pg, owner] of [[w.pg, 'default'], [other, 'acme']]) await pg.sql(`CREATE TABLE owner AS SELECT '${owner}' AS name; GRANT SELECT ON owner TO orders_reader, orders_writer`, 'orders');
  const target = fs.readFileSync(`${w.tenant}/tenant.toml`, 'utf8').replace(/^[^]*?(?=\[\[target\]\])/, '').replace(/^port = .*/m, `port = ${other.port}`);
  w.write('acme/tenant.toml', target);
  w.write('acme/policies/main.cedar', policies.replace('"corp/data"', '"-"').replace('"demo/data"', '"corp/data"').replace('"-"', '"demo/data"'));
  const [saml, oidc] = ['corp', 'demo'].map((idp) => ({ tenant: 'acme', folder: 'acme', idp }));
  const made = await w.cli('operator', ['tenants', 'create', 'acme']);
  fact(made.code === 0, made.err);
  const [cert, secret] = [kinds.SAML.prepare(w, saml), kinds.OIDC.prepare(w, oidc)];
  await apply(w, saml);
  start.push(await kinds.SAML.start(await import('./simplesamlphp.mjs'), w, saml, scratch, cert));
  const php = start.at(-1);
  start.push(await kinds.OIDC.start(await import('./lemonldap.mjs'), w, oidc, scratch, secret));
  await apply(w, saml);

  const at = [['default', 'corp', 'reader'], ['default', 'demo', 'writer'], ['acme', 'corp', 'writer'], ['acme', 'demo', 'reader']].map(([tenant, idp, role], i) => ({ tenant, idp, role, home: `dana-${tenant}-${idp}`, pg: tenant === 'acme' ? other : w.pg, sql: `SELECT pg_sleep(${200 + i})`, browser: new Browser() }));
  await Promise.all(at.map(async (a) => { a.session = await login(w, a.home, a.idp, dana, a.browser, a.tenant); }));
  for (const a of at) {
    fact(a.session.principal.startsWith(`${a.idp}/`), a.session.principal);
    same(await roles(w, a.home), [`pg/orders/${a.role}`], `roles of ${a.home}`);
    same((await connect(w, a.home, a.role, 'SELECT name FROM owner')).out.trim(), a.tenant, `the server of ${a.home}`);
    same((await connect(w, a.home, a.role === 'reader' ? 'writer' : 'reader', 'SELECT 1')).code, 3, `${a.home} in the other role: exit code`);
  }
  for (const a of at) a.running = connect(w, a.home, a.role, a.sql);
  const left = async () => [...await sleeping(w.pg), ...await sleeping(other)];
  await until(async () => (await left()).length === 4, 'four queries');
  const [, , gone] = at;
  await leave(gone.browser, php);
  const cut = await gone.running;
  fact(cut.code !== 0 && /ended: the identity provider ended the session/.test(cut.err), `after the logout at acme's SAML provider: exit ${cut.code}, ${cut.err}`);
  await until(async () => (await left()).length === 3, 'one query to end');
  for (const a of at) {
    same((await w.cli(a.home, ['status'])).code, a === gone ? 4 : 0, `status of ${a.home} after that: exit code`);
    same((await sleeping(a.pg)).includes(a.sql), a !== gone, `the query of ${a.home} goes on`);
  }
  for (const a of at) await w.cli(a.home, ['logout']);
  await Promise.all(at.map((a) => a.running));
  for (const pg of [w.pg, other]) await until(async () => (await pg.roles()).length === 0, 'no account of ours on either server');
}

const all = [['samlp', 'SAML'], ['pysaml2', 'SAML'], ['simplesamlphp', 'SAML'], ['lemonldap', 'SAML'], ['lemonldap', 'OIDC'], ['keycloak', 'SAML', { encrypt: 'aes256-gcm' }], ['keycloak', 'OIDC'], ['tenants', 'SAML']];
const wanted = process.argv.slice(2);
let bad = 0;
for (const [name, protocol, more] of all.filter(([n]) => wanted.length === 0 || wanted.includes(n))) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-interop-'));
  const started = [];
  let w, kept = false;
  try {
    const module = await import(name === 'tenants' ? './samlp.mjs' : `./${name}.mjs`);
    let prepared;
    w = await World.start({ policies, host: 'localhost', prepare: (world) => { prepared = kinds[protocol].prepare(world, corp); } });
    const provider = await kinds[protocol].start(module, w, corp, scratch, prepared, more);
    started.push(provider);
    await apply(w, corp);
    if (name === 'tenants') {
      await tenants(w, scratch, started);
      console.log('two tenants: ok: samlp and npm oidc-provider of one, simplesamlphp (SAML) and lemonldap (OIDC) of the other, signed in at once, a PostgreSQL session each; a logout at one of them cut that one alone');
    } else {
      console.log(`${name} (${protocol}): ok: sign-in, decision, PostgreSQL session, ${await story(w, provider)}; beside npm oidc-provider`);
    }
  } catch (e) {
    if (e.absent) {
      console.log(`${name} (${protocol}): skipped: ${e.absent}`);
    } else {
      bad += 1;
      kept = true;
      console.log(`${name} (${protocol}): failed: ${e.stack}\n  what it wrote is in ${scratch}`);
    }
  } finally {
    for (const one of started) await one.stop();
    await w?.stop();
  }
  if (!kept) fs.rmSync(scratch, { recursive: true, force: true });
}
// At once: what did not start all the way may still hold a server.
process.exit(bad ? 1 : 0);
