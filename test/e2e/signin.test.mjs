import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { World, browse, until } from './harness.mjs';

let w;
before(async () => { w = await World.start(); });
after(async () => { await w.stop(); });

test('sign-in by redirect at a certified OpenID provider', async () => {
  const done = await w.login('dana');
  assert.equal(done.code, 0, done.err);
  const status = await w.cli('dana', ['status', '-o', 'json']);
  assert.equal(status.code, 0);
  assert.equal(JSON.parse(status.out).session.principal, 'demo/dana');
  const ls = await w.cli('dana', ['ls', '-o', 'json']);
  assert.deepEqual(JSON.parse(ls.out).roles.map((r) => r.role), ['pg/orders/reader', 'pg/orders/writer']);
});

test('sign-in on a device: a code typed in a browser elsewhere', async () => {
  w.op.next = 'dana';
  let typed;
  const done = await w.cli('device-user', ['login', '--device'], {
    onErr: (text) => {
      const page = text.match(/^ {2}(http:\S+\/device)$/m)?.[1];
      const code = text.match(/^ {2}([A-Z]{4}-[A-Z]{4})$/m)?.[1];
      if (!page || !code || typed) return;
      // Lower case and without the dash, as people type.
      typed = browse(page, { method: 'POST', form: new URLSearchParams({ user_code: code.toLowerCase().replace('-', ' ') , idp: 'demo' }).toString() });
    },
  });
  const page = await typed;
  assert.match(page.body, /Signed in as/);
  assert.equal(done.code, 0, done.err);
  const status = await w.cli('device-user', ['status', '-o', 'json']);
  assert.equal(JSON.parse(status.out).session.client, 'device');
});

test('a user code that nobody waits for is refused', async () => {
  const page = await browse(`${w.url}/t/default/device`, { method: 'POST', form: 'user_code=ZZZZ-ZZZZ&idp=demo' });
  assert.equal(page.status, 400);
  assert.match(page.body, /device\.user_code/);
});

test('a code works once, for who knows the PKCE verifier, at the redirect URI it was made for', async () => {
  const { createHash, randomBytes } = await import('node:crypto');
  const go = async (change = {}) => {
    const verifier = randomBytes(32).toString('base64url');
    const redirect = 'http://127.0.0.1:9/callback';
    const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', state: 's'.repeat(20) });
    let url = `${w.url}/t/default/oauth/authorize?${query}`;
    const jar = new Map();
    for (;;) {
      const { host } = new URL(url);
      const cookie = [...jar].filter(([k]) => k.startsWith(host)).map(([k, v]) => `${k.split('|')[1]}=${v}`).join('; ');
      const res = await fetch(url, { redirect: 'manual', headers: cookie ? { cookie } : {} });
      for (const c of res.headers.getSetCookie()) { const p = c.split(';')[0]; jar.set(`${host}|${p.slice(0, p.indexOf('='))}`, p.slice(p.indexOf('=') + 1)); }
      url = new URL(res.headers.get('location'), url).href;
      if (url.startsWith(redirect)) break;
    }
    const code = new URL(url).searchParams.get('code');
    const form = { grant_type: 'authorization_code', client_id: 'daypass-cli', code, code_verifier: verifier, redirect_uri: redirect, ...change };
    const post = () => fetch(`${w.url}/t/default/oauth/token`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams(form) });
    return { post, form };
  };
  const good = await go();
  assert.equal((await good.post()).status, 200);
  assert.equal((await (await good.post()).json()).check, 'token.code', 'used twice');
  const pkce = await go({ code_verifier: 'x'.repeat(43) });
  assert.equal((await (await pkce.post()).json()).check, 'token.pkce');
  assert.equal((await (await pkce.post()).json()).check, 'token.code', 'a failed try uses it up');
  const uri = await go({ redirect_uri: 'http://127.0.0.1:10/callback' });
  assert.equal((await (await uri.post()).json()).check, 'token.redirect_uri');
});

test('a callback in another browser than the one that began is refused', async () => {
  const start = `${w.url}/t/default/oauth/authorize?${new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20) })}`;
  const first = await fetch(start, { redirect: 'manual' });
  // The victim's browser has no cookie of the attacker's.
  const page = await browse(first.headers.get('location'));
  assert.equal(page.status, 403);
  assert.match(page.body, /login\.browser/);
});

test('redirects go to loopback only', async () => {
  for (const uri of ['https://evil.example/callback', 'http://127.0.0.1.evil.example/callback', 'http://127.0.0.1:80@evil.example/callback', 'http://127.0.0.1:99/other', 'http://localhost:1/callback', 'http://127.0.0.1:/callback', 'http://127.0.0.1:1/callback?x=1']) {
    const page = await browse(`${w.url}/t/default/oauth/authorize?${new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: uri, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20) })}`);
    assert.match(page.body, /authorize\.redirect_uri/, uri);
  }
});

test('after the provider rotates its keys the next sign-in works', async () => {
  // The verifier fetches keys again for an unknown kid, at most every 10 seconds.
  await w.op.rotate();
  const done = await until(async () => { const d = await w.login('dana'); return d.code === 0 ? d : null; }, 'a sign-in with the new key', 30000);
  assert.equal(done.code, 0);
});

test('logout ends the login; the token is dead', async () => {
  assert.equal((await w.cli('device-user', ['logout'])).code, 0);
  const status = await w.cli('device-user', ['status']);
  assert.equal(status.code, 4);
  assert.match(status.err, /daypass login/);
});

test('no token in the server log, nor in the audit log', async () => {
  const audit = JSON.stringify(await w.audit());
  assert.doesNotMatch(audit + w.serverLog, /dpt_[A-Za-z0-9_-]{20}/);
});
