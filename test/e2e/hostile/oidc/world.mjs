// Owns the run: a real server whose tenants sign in at hostile issuers, a browser as far as these need one, and the judge.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { World, freePort } from '../../harness.mjs';
import { HostileOp } from './provider.mjs';
import { random } from './forge.mjs';

const redirect = 'http://127.0.0.1:9/callback';
const idpsOfATenant = 31;  // one less than a tenant may have: "home" is its administrators'

const unescape = (html) => html.replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(n)).replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&');

/** What a page that refuses says: {accepted: false, status, check, message, hint, page}. */
export function refusal(status, page) {
  const part = (pattern) => unescape(page.match(pattern)?.[1] ?? '');
  return { accepted: false, status, page, check: part(/Check <code>([^<]*)<\/code>/), message: part(/<h1>Sign-in failed<\/h1><p>(.*?)\.<\/p>/s), hint: part(/What to do: <code>(.*?)<\/code>/s), request: part(/request <code>([^<]*)<\/code>/) };
}

/** Why an outcome is not what its module wants; null when it is. `lied`: the switch was on. */
export function judge(module, place, outcome, lied) {
  if (outcome.broken) return outcome.broken;
  const wanted = lied ? module.refuse : null;
  if (wanted && outcome.accepted) return `accepted, as ${outcome.session?.principal}; wanted ${wanted.join(' or ')}`;
  if (!wanted && !outcome.accepted) return `refused by ${outcome.check || 'nothing known'} (${outcome.message || outcome.page}); wanted it accepted`;
  if (!wanted) {
    const principal = `${place.idp}/${lied && module.principal ? module.principal : place.issuer.person.sub}`;
    if (outcome.session && outcome.session.principal !== principal) return `the principal is ${outcome.session.principal} and not ${principal}`;
    return (lied && module.verify?.(outcome, { op: place.issuer.op })) || null;
  }
  if (!wanted.includes(outcome.check)) return `refused by ${outcome.check || 'nothing known'} (${outcome.message || outcome.page}); wanted ${wanted.join(' or ')}`;
  if (outcome.status < 400 || outcome.status === 500) return `refused with status ${outcome.status}`;
  if (!outcome.message || !outcome.request) return 'the refusal has no words or no request id';
  if (!outcome.hint) return 'the refusal does not say what to do';
  if (module.hint && !module.hint.test(outcome.hint)) return `the hint is ${JSON.stringify(outcome.hint)}`;
  if (/eyJ[\w-]{20}|client-secret-of/.test(outcome.page)) return 'the refusal shows a token or a secret';
  if (module.shows && !module.shows(outcome.page)) return `the refusal shows what it must not: ${outcome.page}`;
  return module.verify?.(outcome, { op: place.issuer.op }) ?? null;
}

export class HostileWorld extends World {
  /** A server whose tenants know an issuer for each of `modules`. `op` may be started already. */
  static async start(modules, { op } = {}) {
    const self = new HostileWorld();
    self.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-hostile-'));
    self.apiPort = await freePort();
    const gatePort = await freePort();
    self.url = `http://127.0.0.1:${self.apiPort}`;
    self.data = path.join(self.folder, 'data');
    self.socket = path.join(self.data, 'daypass.sock');
    self.op = op ?? await HostileOp.start();
    self.write = (name, text) => { const p = path.join(self.folder, name); fs.mkdirSync(path.dirname(p), { recursive: true }); fs.writeFileSync(p, text, { mode: 0o600 }); return p; };
    self.write('client-secret', `${self.op.secret}\n`);
    self.config = self.write('daypass.toml', `[server]\ndata_dir = "${self.data}"\npublic_url = "${self.url}"\n\n[api]\nlisten = "127.0.0.1:${self.apiPort}"\n\n[gate.postgres]\nlisten = "127.0.0.1:${gatePort}"\n\n[limits]\nmax_connections_per_address = 1000\n`);
    await self.startServer();
    self.log = self.serverLog;
    self.server.stderr.on('data', (d) => { self.log += d; });
    self.tenants = [];
    self.twins = new Map();
    for (const module of modules) self.settle(module);
    for (const tenant of self.tenants) await self.apply(tenant);
    return self;
  }

  /** An issuer in a tenant with room. Modules of the same `apart` have tenants of their own. */
  place({ keys, idp = '', truth, clientAuth, clientKey, apart = '' }) {
    let tenant = this.tenants.findLast((t) => t.apart === apart);
    if (!tenant || tenant.places.length >= (apart ? 2 : idpsOfATenant)) {
      tenant = { id: `t${this.tenants.length}`, apart, places: [], home: this.op.issuer(`home${this.tenants.length}`) };
      tenant.home.person = { sub: 'ada', name: 'Ada', groups: ['admins'], department: 'platform' };
      this.tenants.push(tenant);
    }
    const issuer = this.op.issuer(`i${this.op.issuers.size}`);
    if (keys) issuer.keys = keys;
    if (clientAuth) issuer.clientAuth = clientAuth;
    issuer.lies = { ...truth };
    const place = { tenant, idp: issuer.name, issuer, lines: idp, clientKey, truth, accepted: 0 };
    tenant.places.push(place);
    return place;
  }
  /** Where a module's lie and its twin are told: at one issuer, unless what the twin fetched would be remembered. */
  settle(module) {
    const alike = JSON.stringify([module.keys?.map((k) => k.jwk), module.idp, module.clientAuth?.name, Object.entries(module.truth ?? {}).map(([k, v]) => [k, String(v)]), module.apart]);
    if (!this.twins.has(alike) || module.alone) this.twins.set(alike, this.place(module));
    module.twin = this.twins.get(alike);
    module.place = module.fresh ? this.place(module) : module.twin;
  }
  async apply(tenant) {
    const settings = (name, issuer, lines = '', secret = 'client-secret') => `[[idp]]\nname = "${name}"\nissuer = "${issuer.url}"\nclient_id = "daypass"\nclient_secret = "file:${this.folder}/${secret}"\ngroups = "groups"\n${this.op.ca ? `ca_file = "${this.op.ca}"\n` : ''}${lines}[idp.attributes]\ndepartment = "department"\n\n`;
    const all = tenant.places.map((p) => settings(p.idp, p.issuer, p.lines, p.clientKey && path.relative(this.folder, this.write(`${p.idp}.pem`, p.clientKey.privateKey.export({ type: 'pkcs8', format: 'pem' })))));
    this.write(`${tenant.id}/tenant.toml`, settings('home', tenant.home) + all.join(''));
    this.write(`${tenant.id}/policies/main.cedar`, `@id("admins") permit(principal in Group::"home/admins", action == Action::"administer", resource == Tenant::"${tenant.id}");\n`);
    for (const args of [['tenants', 'create', tenant.id], ['apply', path.join(this.folder, tenant.id), '--tenant', tenant.id, '--yes']]) {
      const done = await this.cli('operator', args);
      if (done.code !== 0) throw new Error(`${args.join(' ')}: ${done.err}`);
    }
    const home = await this.signIn({ tenant, idp: 'home', issuer: tenant.home, accepted: 0 });
    if (!home.accepted) throw new Error(`no administrator: ${JSON.stringify(home)}`);
    tenant.admin = home.token;
  }

  // -- a sign-in, step by step ---------------------------------------------------------------------------------------
  at(place, rest) { return `${this.url}/t/${place.tenant.id}${rest}`; }
  async ask(url, { cookie, form, method = form ? 'POST' : 'GET', token } = {}) {
    const res = await fetch(url, { method, redirect: 'manual', headers: { ...(cookie && { cookie: `daypass-login=${cookie}` }), ...(token && { authorization: `Bearer ${token}` }) }, ...(form && { body: new URLSearchParams(form) }) });
    return { status: res.status, headers: res.headers, text: await res.text() };
  }
  /** As far as to the provider: {url, cookie, verifier, state}, or why not. */
  async begin(place, { cookie } = {}) {
    const verifier = random(32);
    const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', state: random(18), idp: place.idp });
    const { status, headers, text } = await this.ask(this.at(place, `/oauth/authorize?${query}`), { cookie });
    if (!headers.get('location')) return refusal(status, text);
    return { place, verifier, url: headers.get('location'), cookie: headers.get('set-cookie').match(/daypass-login=([^;]+)/)[1] };
  }
  /** The provider's answer, as the browser brings it. `idp`: another one's callback. */
  async callback(begun, parameters, { cookie = begun.cookie, idp = begun.place.idp, tenant = begun.place.tenant, post = false } = {}) {
    const url = `${this.url}/t/${tenant.id}/idp/${idp}/callback`;
    let answer;
    if (post) {
      // Another site's form comes without our cookie; the page that answers posts it again.
      const first = await this.ask(url, { form: parameters });
      const fields = [...first.text.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, n, v]) => [unescape(n), unescape(v)]);
      answer = fields.length ? await this.ask(url, { form: fields, cookie }) : first;
    } else {
      answer = await this.ask(`${url}?${new URLSearchParams(parameters)}`, { cookie });
    }
    const location = answer.headers.get('location');
    if (!location) return refusal(answer.status, answer.text);
    if (!location.startsWith(`${redirect}?`)) return { broken: `sent to ${location}` };
    begun.place.accepted += 1;
    return { accepted: true, code: new URL(location).searchParams.get('code') };
  }
  async redeem(begun, answered) {
    if (!answered.accepted) return answered;
    const { status, text } = await this.ask(this.at(begun.place, '/oauth/token'), { form: { grant_type: 'authorization_code', client_id: 'daypass-cli', code: answered.code, code_verifier: begun.verifier, redirect_uri: redirect } });
    if (status !== 200) return { broken: `the code was not redeemed: ${text}` };
    const token = JSON.parse(text).access_token;
    const session = await this.ask(this.at(begun.place, '/api/v1/session'), { token });
    return { accepted: true, token, session: JSON.parse(session.text) };
  }
  /** One whole sign-in; `answer` changes what the provider's answer becomes on its way. */
  async signIn(place, { post } = {}) {
    const begun = await this.begin(place);
    if (!begun.url) return begun;
    const { back } = place.issuer.authorize(begun.url);
    return this.redeem(begun, await this.callback(begun, back, { post }));
  }

  /** How many sessions a tenant has, by identity provider. */
  async sessions(tenant) {
    const { text } = await this.ask(this.at({ tenant }, '/api/v1/sessions'), { token: tenant.admin });
    return Object.groupBy(JSON.parse(text).sessions, (s) => s.idp);
  }
  /** Runs one side of a module: {outcome, problem}. */
  async run(module, lied) {
    const place = lied ? module.place : module.twin;
    const { person } = place.issuer;
    place.issuer.lies = { ...module.truth, ...(lied && module.lies) };
    const drive = module.drive ? () => module.drive(this, place, lied) : () => this.signIn(place, { post: lied && module.post });
    let outcome;
    try {
      outcome = await drive();
    } catch (e) {
      outcome = { broken: e.stack };
    } finally {
      Object.assign(place.issuer, { lies: { ...module.truth }, person });
    }
    return { outcome, problem: judge(module, place, outcome, lied) };
  }
  /** Both sides of a module: {twin, lie}. The twin comes first; one that many modules share, and none of them touches, comes once. */
  async both(module) {
    const { twin: place } = module;
    if (module.fresh) place.once ??= this.run(module, false);
    const twin = await (module.fresh ? place.once : this.run(module, false));
    this.beforeLie?.();
    return { twin, lie: await this.run(module, true) };
  }
  async stop() {
    await this.stopServer();
    await this.op.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
