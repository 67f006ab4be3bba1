// Proves each identity provider of this folder without the product: node selftest.mjs [name…]. One line per provider.
// What it needs from Debian is brought by `tools/deps interop`, what it needs from npm by ./run.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createHash, randomBytes } from 'node:crypto';
import * as jose from 'jose';
import { StandIn } from './standin.mjs';

const all = ['samlp', 'pysaml2', 'simplesamlphp', 'lemonldap', 'keycloak'];
const wanted = process.argv.slice(2);

const users = [
  { name: 'dana', password: 'password of dana', attributes: { displayName: 'Dana', department: 'data' }, groups: ['data', 'R&D <all>'] },
  { name: 'sam', password: 'password of sam', attributes: { displayName: 'Sam', department: 'support' }, groups: ['support'] },
];

async function refused(promise, what) {
  try { await promise; } catch (e) { if (/did not take the password/.test(e.message)) return; throw e; }
  throw new Error(`${what} was accepted`);
}

async function saml(start, scratch) {
  const sp = new StandIn(scratch);
  const ask = { scratch, sps: [sp.sp], users };
  const notes = [];
  let idp = await start(ask);
  try {
    const [dana, sam] = users;
    const session = await idp.login(sp.authnRequest(idp), dana);
    const first = sp.receive(idp, session, dana);
    if (process.env.SHOW) console.log(first.raw);
    notes.push(`signs ${first.signed.join(' and ')} with ${first.methods.join(', ')}`, `NameID ${first.format}`, `times like ${first.issueInstant}`);
    const again = sp.receive(idp, await idp.login(sp.authnRequest(idp), dana), dana);
    notes.push(again.nameId === first.nameId ? 'same NameID at the next login' : 'another NameID at each login');
    const other = sp.receive(idp, await idp.login(sp.authnRequest(idp, { sign: true }), sam), sam);
    if (other.nameId === first.nameId) throw new Error(`two users have the NameID ${other.nameId}`);
    await refused(idp.login(sp.authnRequest(idp), { ...dana, password: sam.password }), 'a wrong password');
    if (/SingleSignOnService[^>]*HTTP-POST/.test(idp.metadataXml)) {
      sp.receive(idp, await idp.login(sp.authnRequest(idp, { post: true }), dana), dana);
      notes.push('requests by redirect or POST');
    } else {
      notes.push('requests by redirect');
    }
    if (idp.unsolicited) {
      sp.receive(idp, await idp.unsolicited(sp.sp, dana), dana, { unsolicited: true });
      notes.push('unsolicited responses');
    }
    if (idp.logout) {
      const carried = await idp.logout(sp.logoutRequest(idp, first), session);
      const xml = sp.logoutMessage(idp, carried);
      if (!/status:Success/.test(xml)) throw new Error(`logout: ${xml}`);
      if (!xml.includes(`InResponseTo="${sp.id}"`)) throw new Error(`logout answers something else: ${xml}`);
      if (carried.fields.RelayState !== sp.relay) throw new Error(`logout: RelayState ${carried.fields.RelayState}`);
      // The session at the provider is over: it asks for the password again.
      await refused(idp.login(sp.authnRequest(idp), { ...dana, password: 'wrong' }, session.browser), 'a login after the logout');
      notes.push(`logout by ${carried.method === 'GET' ? 'redirect' : 'POST'}`);
    }
    if (idp.logoutHere) {
      const here = await idp.login(sp.authnRequest(idp), sam);
      sp.receive(idp, here, sam);
      const carried = await idp.logoutHere(here);
      const xml = sp.logoutMessage(idp, carried);
      if (!/LogoutRequest/.test(xml)) throw new Error(`logout begun there: ${xml}`);
      const end = await here.browser.go(sp.logoutResponse(idp, xml, carried.fields.RelayState));
      if (!end.away && end.status !== 200) throw new Error(`logout begun there ends with ${end.status}: ${end.body}`);
      await refused(idp.login(sp.authnRequest(idp), { ...sam, password: 'wrong' }, here.browser), 'a login after the logout');
      notes.push('logout begun there');
    }
  } finally { await idp.stop(); }
  const variants = idp.variants ?? [];
  for (const variant of variants) {
    idp = await start({ ...ask, ...variant });
    try {
      const got = sp.receive(idp, await idp.login(sp.authnRequest(idp), users[0]), users[0], { encrypted: Boolean(variant.encrypt) });
      if (process.env.SHOW) console.log(got.raw);
      if (variant.encrypt && got.cipher !== variant.encrypt) throw new Error(`asked for ${variant.encrypt}, got ${got.cipher}`);
      const expected = { both: 'Response,Assertion', assertion: 'Assertion', response: 'Response' }[variant.sign ?? 'both'];
      if (got.signed.join() !== expected) throw new Error(`asked for signatures of ${expected}, got ${got.signed}`);
      notes.push(variant.encrypt ? `${got.cipher}, signs ${got.signed.join(' and ')}` : `can sign only the ${got.signed}`);
    } finally { await idp.stop(); }
  }
  return notes;
}

/** A sign-in by OpenID Connect with PKCE; the claims must stand in the ID token, where the product reads them. */
async function oidc(start, scratch) {
  const client = { clientId: 'daypass', clientSecret: randomBytes(24).toString('base64url'), redirectUri: 'http://sp.test/t/default/idp/demo/callback' };
  const op = await start({ scratch, clients: [client], users });
  const random = () => randomBytes(32).toString('base64url');
  try {
    const [dana, sam] = users;
    const found = await (await fetch(`${op.issuer}/.well-known/openid-configuration`)).json();
    if (found.issuer !== op.issuer) throw new Error(`discovery says that the issuer is ${found.issuer}`);
    const begin = () => {
      const asked = { verifier: random(), state: random(), nonce: random() };
      asked.url = `${found.authorization_endpoint}?${new URLSearchParams({ response_type: 'code', client_id: client.clientId, redirect_uri: client.redirectUri, scope: 'openid profile', state: asked.state, nonce: asked.nonce, code_challenge: createHash('sha256').update(asked.verifier).digest('base64url'), code_challenge_method: 'S256' })}`;
      return asked;
    };
    const token = (back, verifier) => fetch(found.token_endpoint, { method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}` }, body: new URLSearchParams({ grant_type: 'authorization_code', code: back.get('code'), redirect_uri: client.redirectUri, code_verifier: verifier }) });
    const asked = begin();
    const back = new URL(await op.login(asked.url, dana));
    if (!back.href.startsWith(`${client.redirectUri}?`) || back.searchParams.get('state') !== asked.state) throw new Error(`came back as ${back.href}`);
    const answer = await (await token(back.searchParams, asked.verifier)).json();
    const { payload, protectedHeader } = await jose.jwtVerify(answer.id_token, jose.createRemoteJWKSet(new URL(found.jwks_uri)), { issuer: op.issuer, audience: client.clientId });
    if (payload.nonce !== asked.nonce) throw new Error(`nonce ${payload.nonce}`);
    const expected = { sub: dana.name, name: dana.attributes.displayName, ...dana.attributes };
    for (const [name, value] of Object.entries(expected)) if (payload[name] !== value) throw new Error(`claim ${name} is ${JSON.stringify(payload[name])} in ${JSON.stringify(payload)}`);
    if (JSON.stringify(payload.groups?.toSorted()) !== JSON.stringify(dana.groups.toSorted())) throw new Error(`claim groups is ${JSON.stringify(payload.groups)}`);
    const other = begin();
    const stolen = await token(new URL(await op.login(other.url, sam)).searchParams, random());
    if (stolen.ok) throw new Error('a code was redeemed with another verifier');
    await refused(op.login(begin().url, { ...dana, password: sam.password }), 'a wrong password');
    return [`OpenID Connect with ${protectedHeader.alg}, PKCE checked`, `ID token with ${Object.keys(payload).sort().join(' ')}`, `at the redirect: ${[...back.searchParams.keys()].join(' ')}`];
  } finally { await op.stop(); }
}

let bad = 0;
for (const name of all.filter((n) => wanted.length === 0 || wanted.includes(n))) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-idps-'));
  try {
    const module = await import(`./${name}.mjs`);
    const notes = await saml(module.start, scratch);
    if (module.startOidc) notes.push(...await oidc(module.startOidc, scratch));
    console.log(`${name}: ok: ${notes.join('; ')}`);
    fs.rmSync(scratch, { recursive: true, force: true });
  } catch (e) {
    if (e.absent) {
      console.log(`${name}: skipped: ${e.absent}`);
      continue;
    }
    bad += 1;
    console.log(`${name}: failed: ${e.stack}\n  what it wrote is in ${scratch}`);
  }
}
process.exitCode = bad ? 1 : 0;
