// Logins that their provider is asked after, through the real server: npm oidc-provider with refresh tokens that serve once.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { CertifiedOp, World, people, until } from './harness.mjs';
import { Browser } from './browser.mjs';

/** Gives refresh tokens for `offline_access` and consent, each good for one use. */
class RefreshingOp extends CertifiedOp {
  adjust(settings) {
    const [client] = settings.clients;
    return {
      ...settings,
      clients: [{ ...client, grant_types: ['authorization_code', 'refresh_token'] }],
      scopes: ['openid', 'offline_access'],
      rotateRefreshToken: true,
      loadExistingGrant: async (ctx) => {
        const grant = new ctx.oidc.provider.Grant({ clientId: 'daypass', accountId: ctx.oidc.session.accountId });
        grant.addOIDCScope('openid profile offline_access');
        this.grants.set(ctx.oidc.session.accountId, await grant.save());
        return grant;
      },
      ttl: { ...settings.ttl, RefreshToken: 3600, Grant: 3600 },
    };
  }
  answer() { return { ...super.answer(), consent: {} }; }
  async rotate() {
    this.grants = new Map();  // subject to the last sign-in's
    this.tokens = new Map();  // subject to all its refresh tokens
    this.asked = 0;
    await super.rotate();
    this.provider.on('grant.success', (ctx) => {
      const { accountId } = ctx.oidc.account;
      this.tokens.set(accountId, [...this.tokens.get(accountId) ?? [], ctx.body.refresh_token]);
    });
    this.guard = (req, res) => {
      if (!this.away || req.url !== '/token') return undefined;
      res.statusCode = 503;
      res.end('away');
      return new Promise(() => {});
    };
  }
  /** As its administrator would: everything that was given with this sign-in is void. */
  async revoke(sub) { await (await this.provider.Grant.find(this.grants.get(sub))).destroy(); }
  /** Somebody else has the token, and uses it first. */
  async steal(sub) {
    const res = await fetch(`${this.issuer}/token`, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`daypass:${this.secret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: this.tokens.get(sub).at(-1) }),
    });
    assert.equal(res.status, 200, await res.text());
  }
}

let w;
before(async () => {
  w = await World.start({ op: RefreshingOp, idp: 'scopes = ["profile", "offline_access"]\nconsent = true\nrevalidate = "1h"' });
});
after(async () => { await w?.stop(); });

const json = async (...args) => { const done = await w.cli(...args); assert.equal(done.code, 0, done.err); return JSON.parse(done.out); };
const sessionOf = async (sub) => (await json('operator', ['sessions', 'ls', '-o', 'json'])).sessions.find((s) => s.principal === `demo/${sub}`);
const revalidate = (id) => w.cli('operator', ['sessions', 'revalidate', id, '-o', 'json']);
const log = async (action, object) => (await w.audit()).filter((r) => r.action === action && r.object === object);
const noRoles = () => until(async () => (await w.pg.roles()).length === 0, 'no account of ours on the server');

let count = 0;
async function signedIn(groups = ['data']) {
  const sub = `pat-${count += 1}`;
  people[sub] = { sub, name: 'Pat', groups, department: 'data' };
  const done = await w.login(sub, { visit: (url) => { w.op.next = sub; return new Browser().open(url); } });
  assert.equal(done.code, 0, done.err + done.page?.body);
  return { sub, session: await sessionOf(sub) };
}
async function running(home, seconds) {
  const query = `SELECT pg_sleep(${seconds})`;
  const ended = w.cli(home, ['connect', 'pg/orders', '--', '-X', '-At', '-c', query]);
  await until(async () => (await w.pg.sql(`SELECT 1 FROM pg_stat_activity WHERE query = '${query}'`)).length === 1, `the query of ${home}`);
  return { ended };
}

test('a login that its provider still knows goes on, and each token serves once', async () => {
  const { sub, session } = await signedIn();
  assert.ok(session.checked_at);
  for (let i = 0; i < 3; i += 1) {
    const answer = await revalidate(session.id);
    assert.equal(answer.code, 0, answer.err);
    assert.equal(JSON.parse(answer.out).state, 'unchanged');
  }
  assert.equal(new Set(w.op.tokens.get(sub)).size, 4);
  // Also across a restart, by SIGKILL: what was stored is what serves.
  await w.stopServer('SIGKILL');
  await w.startServer();
  assert.equal(JSON.parse((await revalidate(session.id)).out).state, 'unchanged');
  assert.ok(Date.parse((await sessionOf(sub)).checked_at) > Date.parse(session.checked_at));
  assert.equal((await log('login.renewed', session.id)).length, 0);
});

test('revoked at the provider: the login is over and psql is cut', async () => {
  const { sub, session } = await signedIn();
  const psql = await running(sub, 611);
  await w.op.revoke(sub);
  const answer = await revalidate(session.id);
  assert.equal(answer.code, 0, answer.err);
  const said = JSON.parse(answer.out);
  assert.equal(said.state, 'ended');
  assert.equal(said.grants_ended, 1);
  assert.match(said.why, /invalid_grant/);
  const done = await psql.ended;
  assert.notEqual(done.code, 0);
  assert.match(done.err, /the identity provider ended the session/);
  assert.equal((await w.cli(sub, ['status'])).code, 4);
  assert.equal(await sessionOf(sub), undefined);
  await noRoles();
  const [revoked] = await log('login.revoked', session.id);
  assert.equal(revoked.facts.check, 'idp.over');
  assert.equal(revoked.actor, 'demo');
  assert.equal((await revalidate(session.id)).code, 6, 'there is nothing to ask after any more');
});

test('a group that is gone takes its grants along, and the login goes on', async () => {
  const { sub, session } = await signedIn();
  const psql = await running(sub, 612);
  people[sub].groups = ['support'];
  const said = JSON.parse((await revalidate(session.id)).out);
  assert.deepEqual([said.state, said.grants_ended], ['changed', 1]);
  assert.match((await psql.ended).err, /policy no longer permits it/);
  assert.equal((await w.cli(sub, ['status'])).code, 0);
  assert.equal((await w.cli(sub, ['creds', 'pg/orders'])).code, 3);
  assert.deepEqual((await sessionOf(sub)).groups, ['support']);
  const [renewed] = await log('login.renewed', session.id);
  assert.deepEqual([renewed.facts.changed, renewed.facts.groups], [['groups'], ['support']]);
  people[sub].groups = ['data'];
  assert.equal(JSON.parse((await revalidate(session.id)).out).state, 'changed');
  assert.equal((await w.cli(sub, ['creds', 'pg/orders', '-o', 'json'])).code, 0);
  await noRoles();
});

test('a provider that is away: nothing new is given, what is open goes on, and its first answer ends that', async () => {
  const { sub, session } = await signedIn();
  const creds = await w.creds(sub);
  const client = await w.connect(creds);
  const other = await w.creds(sub, '--role', 'writer');
  w.op.away = true;
  try {
    const answer = await revalidate(session.id);
    assert.equal(answer.code, 7, answer.err);
    assert.match(answer.out + answer.err, /login\.stale/);
    const refused = await w.cli(sub, ['creds', 'pg/orders', '-o', 'json']);
    assert.equal(refused.code, 7);
    const { error } = JSON.parse(refused.out);
    assert.equal(error.check, 'login.stale');
    assert.match(error.message, /demo can't be asked since 20/);
    assert.match(error.hint, /open connections go on until 20.*try again when it answers/);
    await assert.rejects(w.connect(other), /can't be asked/);
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
    await (await w.connect(creds)).end();  // the grant is there: another connection under it is nothing new
    assert.ok((await sessionOf(sub)).stale_since);
    assert.equal((await log('login.stale', session.id)).length, 1);
    // A restart does not forget.
    await client.end();
    await w.stopServer();
    await w.startServer();
    assert.equal((await w.cli(sub, ['creds', 'pg/orders'])).code, 7);
  } finally {
    w.op.away = false;
  }
  assert.equal((await revalidate(session.id)).code, 0);
  await (await w.connect(other)).end();
  assert.equal((await sessionOf(sub)).stale_since, undefined);
  assert.equal((await log('login.confirmed', session.id)).length, 1);
  const metrics = await (await fetch(`${w.url}/metrics`)).text();
  assert.match(metrics, /daypass_idp_revalidation_total\{result="ok"\} [1-9]/);
  assert.match(metrics, /daypass_login_sessions_stale 0/);
});

test('a token that somebody else has used ends the login at the next question', async () => {
  const { sub, session } = await signedIn();
  await w.op.steal(sub);
  const said = JSON.parse((await revalidate(session.id)).out);
  assert.equal(said.state, 'ended');
  assert.match(said.why, /invalid_grant/);
  assert.equal(await sessionOf(sub), undefined);
});

test('a logout erases what the provider could be asked with', async () => {
  const { sub, session } = await signedIn();
  assert.equal((await w.cli(sub, ['logout'])).code, 0);
  assert.equal((await revalidate(session.id)).code, 6);
});

test('no refresh token is in a log, an answer or the store', async () => {
  const tokens = [...w.op.tokens.values()].flat();
  assert.ok(tokens.length > 8);
  const said = w.serverLog + JSON.stringify(await w.audit()) + (await w.cli('operator', ['sessions', 'ls', '-o', 'json'])).out;
  await w.stopServer();
  const kept = fs.readdirSync(w.data, { recursive: true, withFileTypes: true }).filter((f) => f.isFile())
    .map((f) => fs.readFileSync(path.join(f.parentPath, f.name), 'latin1')).join('');
  for (const token of tokens) assert.ok(!said.includes(token) && !kept.includes(token));
});
