// Each identity provider here with the real server: sign-in, decision by a group, a psql session, logout, cut; one line per
// provider. DAYPASS=… node interop.mjs [name…]. npm oidc-provider serves the same tenant all the time, as "demo".
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { World, until } from '../harness.mjs';
import { Browser, signIn } from '../browser.mjs';
import { keyPair, said } from './parts.mjs';

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

// "corp" by either protocol: what is known before the server runs, and then the provider.
const corp = {
  SAML: {
    entry: (w, issuer) => w.write('tenant/corp.toml', `[[idp]]\nname = "corp"\nprotocol = "saml"\nissuer = "${issuer}"\nmetadata = "file:${w.folder}/corp.xml"\nsp_keys = ["file:${w.folder}/sp.pem"]\n${mapped}`),
    prepare(w) {
      w.sp = keyPair(w.folder, 'sp');
      w.write('sp.pem', w.sp.key + w.sp.cert);
      // Daypass's metadata is there before its provider is known: providers that read metadata are given that.
      corp.SAML.entry(w, 'https://unknown.example/metadata');
    },
    async start(module, w, scratch) {
      const base = `${w.url}/t/default/idp/corp`;
      const metadataXml = await (await fetch(`${base}/metadata`)).text();
      const provider = await module.start({ scratch, users, sps: [{ entityId: `${base}/metadata`, acs: `${base}/callback`, slo: `${base}/logout`, cert: w.sp.cert, metadataXml }] });
      w.write('corp.xml', provider.metadataXml);
      corp.SAML.entry(w, provider.entityId);
      return provider;
    },
  },
  OIDC: {
    entry: (w, issuer) => w.write('tenant/corp.toml', `[[idp]]\nname = "corp"\nissuer = "${issuer}"\nclient_id = "daypass"\nclient_secret = "file:${w.folder}/corp-secret"\nscopes = ["profile"]\n${mapped}`),
    prepare(w) {
      w.clientSecret = randomBytes(24).toString('base64url');
      w.write('corp-secret', w.clientSecret);
      corp.OIDC.entry(w, 'https://unknown.example');
    },
    async start(module, w, scratch) {
      const provider = await module.startOidc({ scratch, users, clients: [{ clientId: 'daypass', clientSecret: w.clientSecret, redirectUri: `${w.url}/t/default/idp/corp/callback` }] });
      corp.OIDC.entry(w, provider.issuer);
      return provider;
    },
  },
};

async function login(w, home, idp, user, browser = new Browser()) {
  const done = await w.login(home, { args: ['--idp', idp], visit: (url) => signIn(browser, url, user) });
  fact(done.code === 0, `${user.name} at ${idp}: ${done.page && !done.page.ok ? said(done.page) : done.err}`);
  const status = await w.cli(home, ['status', '-o', 'json']);
  fact(status.code === 0, status.err);
  return JSON.parse(status.out).session;
}

async function story(w) {
  const roles = async (home) => JSON.parse((await w.cli(home, ['ls', '-o', 'json'])).out).roles.map((r) => r.role);
  const connect = (home, role, sql) => w.cli(home, ['connect', 'pg/orders', '--role', role, '--', '-X', '-At', '-c', sql]);
  const browser = new Browser();
  const first = await login(w, 'dana-corp', 'corp', dana, browser);
  fact(first.principal.startsWith('corp/'), first.principal);
  same([first.display, first.attributes.department, first.groups.toSorted()], ['Dana', 'data', dana.groups.toSorted()], 'what is known of dana');
  const other = await login(w, 'sam-corp', 'corp', sam);
  fact(other.principal !== first.principal, `sam is ${other.principal}, as dana is`);
  await login(w, 'dana', 'demo', dana, browser);
  same(await roles('dana-corp'), ['pg/orders/reader'], 'roles of dana');
  same(await roles('sam-corp'), [], 'roles of sam');
  same(await roles('dana'), ['pg/orders/writer'], 'roles of dana at the other provider');
  same((await connect('sam-corp', 'reader', 'SELECT 1')).code, 3, 'sam as reader: exit code');

  const read = await connect('dana-corp', 'reader', "SELECT count(*), pg_has_role('orders_reader', 'USAGE'), pg_has_role('orders_writer', 'USAGE') FROM orders");
  same([read.code, read.out.trim()], [0, '1000|t|f'], `psql of dana (${read.err.trim()})`);
  const running = connect('dana-corp', 'reader', 'SELECT pg_sleep(100)');
  const elsewhere = connect('dana', 'writer', 'SELECT pg_sleep(101)');
  const queries = async () => (await w.pg.sql("SELECT query FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%' ORDER BY 1")).map((r) => r.query);
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
  for (const home of ['dana-corp', 'dana', 'sam-corp']) await w.cli(home, ['logout']);
  await elsewhere;
  await until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');
  return took;
}

const all = [['samlp', 'SAML'], ['pysaml2', 'SAML'], ['simplesamlphp', 'SAML'], ['lemonldap', 'SAML'], ['lemonldap', 'OIDC']];
const wanted = process.argv.slice(2);
let bad = 0;
for (const [name, protocol] of all.filter(([n]) => wanted.length === 0 || wanted.includes(n))) {
  const before = bad;
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-interop-'));
  let w, provider;
  try {
    const module = await import(`./${name}.mjs`);
    w = await World.start({ policies, host: 'localhost', prepare: corp[protocol].prepare });
    provider = await corp[protocol].start(module, w, scratch);
    const applied = await w.cli('operator', ['apply', w.tenant, '--yes']);
    fact(applied.code === 0, `apply: ${applied.err}`);
    const took = await story(w);
    console.log(`${name} (${protocol}): ok: sign-in, decision, PostgreSQL session, logout, cut after ${took} ms; beside npm oidc-provider`);
  } catch (e) {
    bad += 1;
    console.log(`${name} (${protocol}): failed: ${e.stack}\n  what it wrote is in ${scratch}`);
  } finally {
    await provider?.stop();
    await w?.stop();
  }
  if (bad === before) fs.rmSync(scratch, { recursive: true, force: true });
}
// At once: what did not start all the way may still hold a server.
process.exit(bad ? 1 : 0);
