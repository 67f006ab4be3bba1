// Real parts for end-to-end tests: a private PostgreSQL, an identity provider, a Daypass server, and a browser of sorts.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTcp } from 'node:net';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import Provider from 'oidc-provider';
import * as jose from 'jose';
import pg from 'pg';

export const daypass = process.env.DAYPASS;

// A test that fails half way leaves nothing running.
const children = new Set();
const keep = (child) => { children.add(child); child.on('exit', () => children.delete(child)); return child; };
process.on('exit', () => { for (const c of children) c.kill('SIGKILL'); });

// Those above are given to outgoing connections: one of them may have the port when its server starts, or starts again.
const [lowestOutgoing] = fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number);
const handedOut = new Set();

/** A port of the loopback address that nobody listens on, and that no outgoing connection takes meanwhile. */
export async function freePort() {
  for (;;) {
    const port = randomInt(10240, Math.max(lowestOutgoing, 20480));
    if (handedOut.has(port)) continue;
    const server = createTcp();
    server.listen(port, '127.0.0.1');
    if (!await once(server, 'listening').then(() => true, () => false)) continue;
    server.close();
    await once(server, 'close');
    handedOut.add(port);
    return port;
  }
}

/** Polls until `fn` gives something truthy; the event we wait for, with a limit instead of a guess. */
export async function until(fn, what, limit = 20000) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await fn();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limit} ms in vain for ${what}`);
    await new Promise((r) => setImmediate(r));
    await new Promise((r) => { const t = setInterval(() => { clearInterval(t); r(); }, 20); });
  }
}

function postgresBin() {
  const versions = fs.readdirSync('/usr/lib/postgresql').map(Number).sort((a, b) => b - a);
  return process.env.DAYPASS_PG_BIN ?? `/usr/lib/postgresql/${versions[0]}/bin`;
}

export class Postgres {
  /** A server of its own in `folder`/`name`, on loopback: `listen` says at which of its addresses, `connections` how many it takes. */
  static async start(folder, { name = 'postgres', listen = '127.0.0.1', connections = 320 } = {}) {
    const self = new Postgres();
    self.home = path.join(folder, name);
    self.data = path.join(self.home, 'data');
    fs.mkdirSync(self.home);
    const bin = postgresBin();
    const pwfile = path.join(self.home, 'pw');
    self.password = 'superuser-of-a-test';
    fs.writeFileSync(pwfile, self.password + '\n', { mode: 0o600 });
    let as = {};
    if (process.getuid() === 0) {
      const line = fs.readFileSync('/etc/passwd', 'utf8').split('\n').find((l) => l.startsWith('postgres:')).split(':');
      as = { uid: Number(line[2]), gid: Number(line[3]) };
      for (const p of [self.home, pwfile]) fs.chownSync(p, as.uid, as.gid);
    }
    const options = { ...as, cwd: '/', env: { ...process.env, LC_ALL: 'C.UTF-8' }, encoding: 'utf8' };
    const init = spawnSync(`${bin}/initdb`, ['-D', self.data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${pwfile}`, '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8'], options);
    if (init.status !== 0) throw new Error(init.stderr);
    self.port = await freePort();
    self.launch = () => {
      self.child = keep(spawn(`${bin}/postgres`, ['-D', self.data, '-p', String(self.port), '-k', self.home, '-c', `listen_addresses=${listen}`, '-c', 'fsync=off', '-c', `max_connections=${connections}`, '-c', 'shared_buffers=64MB'],
        { ...options, stdio: ['ignore', 'ignore', 'pipe'] }));
      self.log = '';
      self.child.stderr.on('data', (d) => { self.log += d; });
    };
    self.launch();
    await self.ready();
    return self;
  }
  async ready() { await until(() => this.sql('SELECT 1').then(() => true, () => false), 'PostgreSQL'); }
  async sql(text, database = 'postgres') {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', password: this.password, database });
    client.on('error', () => {});
    await client.connect();
    try { return (await client.query(text)).rows; } finally { await client.end(); }
  }
  roles() { return this.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'dp\\_%'").then((r) => r.map((x) => x.rolname)); }
  backends() { return this.sql("SELECT pid FROM pg_stat_activity WHERE usename LIKE 'dp\\_%'").then((r) => r.map((x) => x.pid)); }
  async stop() {
    this.child.kill('SIGINT');
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }
  async prepareOrders() {
    await this.sql('CREATE DATABASE orders');
    await this.sql(`CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders SELECT i, i % 97 FROM generate_series(1, 1000) i;
      CREATE ROLE orders_reader NOLOGIN; CREATE ROLE orders_writer NOLOGIN;
      GRANT SELECT ON orders TO orders_reader; GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO orders_writer;
      CREATE TABLE bulk (line text); GRANT SELECT, INSERT, TRUNCATE ON bulk TO orders_writer;
      REVOKE CREATE ON SCHEMA public FROM PUBLIC`, 'orders');
    await this.sql("CREATE ROLE daypass_admin LOGIN CREATEROLE PASSWORD 'admin-of-a-test'");
    await this.sql('GRANT pg_signal_backend TO daypass_admin');
    const [{ server_version_num: version }] = await this.sql('SHOW server_version_num');
    if (Number(version) >= 160000) await this.sql('GRANT orders_reader, orders_writer TO daypass_admin WITH ADMIN OPTION');
    await this.sql('REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC; GRANT CONNECT ON DATABASE postgres, template1 TO daypass_admin');
  }
}

export const people = {
  dana: { sub: 'dana', name: 'Dana', groups: ['data'], department: 'data' },
  sam: { sub: 'sam', name: 'Sam', groups: ['support'], department: 'support' },
  ada: { sub: 'ada', name: 'Ada', groups: ['admins'], department: 'platform' },
};

/**
 * npm oidc-provider, a certified OpenID provider; whoever `next` names is signed in without a question. `guard(req, res)`,
 * when it is set, is waited for before a request is handled. Where `backchannel` is a URL, logouts are told to it.
 */
export class CertifiedOp {
  /** `own`: whom it knows, by subject. */
  static async start(own = people) {
    const self = new this();
    self.people = own;
    self.port = await freePort();
    self.issuer = `http://127.0.0.1:${self.port}`;
    self.secret = 'client-secret-of-a-test-with-enough-length';
    self.next = 'dana';
    await self.rotate();
    return self;
  }
  /** For those who want other settings of it, or another answer to its questions. */
  adjust(settings) { return settings; }
  answer() { return { login: { accountId: this.next } }; }
  async rotate() {
    const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await jose.exportJWK(privateKey)), use: 'sig', alg: 'ES256', kid: `key-${Math.random().toString(36).slice(2)}` };
    if (this.server) { this.server.closeAllConnections(); this.server.close(); await once(this.server, 'close'); }
    const self = this;
    this.signing = { privateKey, kid: jwk.kid };
    const provider = this.provider = new Provider(this.issuer, this.adjust({
      clients: [{ client_id: 'daypass', client_secret: this.secret, redirect_uris: this.redirects ?? ['http://127.0.0.1/none'], post_logout_redirect_uris: (this.redirects ?? []).map((u) => u.replace(/callback$/, 'logout')), response_types: ['code'], grant_types: ['authorization_code'], id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_basic', ...(this.backchannel && { backchannel_logout_uri: this.backchannel, backchannel_logout_session_required: true, require_auth_time: true }) }],
      jwks: { keys: [jwk] },
      claims: { openid: ['sub'], profile: ['name', 'groups', 'department', 'email'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['a', 'b'] },
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: Boolean(this.backchannel) } },
      // The dispatcher it would use refuses loopback, where Daypass is.
      fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
      interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ ...self.people[id] }) }),
      loadExistingGrant: async (ctx) => {
        const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
        grant.addOIDCScope('openid profile');
        await grant.save();
        return grant;
      },
      ttl: { AuthorizationCode: 60, IdToken: 600, AccessToken: 600, Session: 600, Interaction: 600, Grant: 600 },
    }));
    const handle = provider.callback();
    this.server = createServer(async (req, res) => {
      await self.guard?.(req, res);
      if (!req.url.startsWith('/interaction/')) return handle(req, res);
      return provider.interactionFinished(req, res, self.answer(), { mergeWithLastSubmission: false });
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
  }
  async stop() { this.server.closeAllConnections(); this.server.close(); await once(this.server, 'close'); }
}

/** A provider that says neither session nor time of sign-in, and signs with RS256. hostile/oidc has one that lies. */
export class PlainOp {
  static async start() {
    const self = new PlainOp();
    self.port = await freePort();
    self.issuer = `http://127.0.0.1:${self.port}`;
    self.secret = 'x'.repeat(40);
    self.keys = await jose.generateKeyPair('RS256', { extractable: true });
    self.codes = new Map();
    self.server = createServer((req, res) => self.serve(req, res).catch((e) => { res.statusCode = 500; res.end(String(e)); }));
    self.server.listen(self.port, '127.0.0.1');
    await once(self.server, 'listening');
    return self;
  }
  async serve(req, res) {
    const url = new URL(req.url, this.issuer);
    const json = (value) => { res.setHeader('content-type', 'application/json'); res.end(JSON.stringify(value)); };
    if (url.pathname === '/.well-known/openid-configuration') {
      return json({
        issuer: this.issuer, authorization_endpoint: `${this.issuer}/authorize`, token_endpoint: `${this.issuer}/token`, jwks_uri: `${this.issuer}/jwks`,
        response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'], code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['client_secret_basic'], authorization_response_iss_parameter_supported: true,
      });
    }
    if (url.pathname === '/jwks') return json({ keys: [{ ...(await jose.exportJWK(this.keys.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] });
    if (url.pathname === '/authorize') {
      const code = Math.random().toString(36).slice(2);
      this.codes.set(code, url.searchParams.get('nonce'));
      const back = new URL(url.searchParams.get('redirect_uri'));
      back.searchParams.set('code', code);
      back.searchParams.set('state', url.searchParams.get('state'));
      back.searchParams.set('iss', this.issuer);
      res.statusCode = 302;
      res.setHeader('location', back.href);
      return res.end();
    }
    if (url.pathname === '/token') {
      let body = '';
      for await (const chunk of req) body += chunk;
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: this.issuer, aud: 'daypass', sub: 'dana', name: 'Dana', groups: ['data'], department: 'data', nonce: this.codes.get(new URLSearchParams(body).get('code')), iat: now, exp: now + 300 };
      const token = await new jose.SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(this.keys.privateKey);
      return json({ access_token: 'at', token_type: 'Bearer', expires_in: 300, id_token: token });
    }
    res.statusCode = 404;
    return res.end();
  }
  async stop() { this.server.closeAllConnections(); this.server.close(); await once(this.server, 'close'); }
}

export class World {
  /**
   * Everything up: PostgreSQL with an orders database, `op`, a server with a tenant applied. `host` is how the public URL
   * names this machine, `pgHost` where the server looks for PostgreSQL. `prepare` is called before the server starts, to
   * write more files of the tenant. `idp`: what its provider's settings say beside the usual. `connections`: how many
   * PostgreSQL takes.
   */
  static async start({ op = CertifiedOp, policies, roles = '', host = '127.0.0.1', pgHost = '127.0.0.1', prepare, idp = 'scopes = ["profile"]', connections = 320 } = {}) {
    const self = new World();
    self.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-e2e-'));
    fs.chmodSync(self.folder, 0o711);
    self.pg = await Postgres.start(self.folder, { connections });
    await self.pg.prepareOrders();
    self.op = await op.start();
    self.apiPort = await freePort();
    self.gatePort = await freePort();
    self.url = `http://${host}:${self.apiPort}`;
    self.data = path.join(self.folder, 'data');
    self.socket = path.join(self.data, 'daypass.sock');
    self.op.redirects = [`${self.url}/t/default/idp/demo/callback`];
    if (self.op.rotate) await self.op.rotate();
    const w = (name, text) => { const p = path.join(self.folder, name); fs.mkdirSync(path.dirname(p), { recursive: true }); fs.writeFileSync(p, text, { mode: 0o600 }); return p; };
    self.write = w;
    self.config = w('daypass.toml', `[server]\ndata_dir = "${self.data}"\npublic_url = "${self.url}"\n\n[api]\nlisten = "127.0.0.1:${self.apiPort}"\n\n[gate.postgres]\nlisten = "127.0.0.1:${self.gatePort}"\npublic_host = "localhost"\n\n[limits]\nmax_connections_per_address = ${Math.max(1000, connections)}\n`);
    w('client-secret', self.op.secret + '\n');
    w('admin-password', 'admin-of-a-test\n');
    self.tenant = path.join(self.folder, 'tenant');
    w('tenant/tenant.toml', `[[idp]]\nname = "demo"\nissuer = "${self.op.issuer}"\nclient_id = "daypass"\nclient_secret = "file:${self.folder}/client-secret"\n${idp}\ngroups = "groups"\n[idp.attributes]\ndepartment = "department"\n\n[[target]]\nname = "pg/orders"\nhost = "${pgHost}"\nport = ${self.pg.port}\ndatabase = "orders"\nadmin_user = "daypass_admin"\nadmin_password = "file:${self.folder}/admin-password"\ntls = "loopback"\n\n[[role]]\nname = "pg/orders/reader"\ngroup = "orders_reader"\n\n[[role]]\nname = "pg/orders/writer"\ngroup = "orders_writer"\nelevated = true\n${roles}`);
    w('tenant/policies/main.cedar', policies ?? `@id("data-read") @duration("1h") @idle("10m") @connections("250")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("data-write") @duration("30m") @idle("10m") @connections("20")
permit(principal in Group::"demo/data", action == Action::"assume", resource == Role::"pg/orders/writer");
@id("admins") permit(principal in Group::"demo/admins", action == Action::"administer", resource == Tenant::"default");
`);
    await prepare?.(self);
    await self.startServer();
    const applied = await self.cli('operator', ['apply', self.tenant, '--yes']);
    if (applied.code !== 0) throw new Error(`apply failed: ${applied.err}`);
    return self;
  }
  async startServer({ args = [], answers = 'readyz' } = {}) {
    this.server = keep(this.launch?.() ?? spawn(daypass, ['server', 'run', '--config', this.config, ...args], { stdio: ['ignore', 'ignore', 'pipe'] }));
    this.serverLog = '';
    this.server.stderr.on('data', (d) => { this.serverLog += d; });
    await until(async () => {
      if (this.server.exitCode !== null) throw new Error(`the server ended: ${this.serverLog}`);
      return fetch(`${this.url}/${answers}`).then((r) => r.ok, () => false);
    }, 'the server');
  }
  async stopServer(signal = 'SIGTERM') {
    if (this.server.exitCode !== null || this.server.signalCode !== null) return this.server.exitCode;
    this.server.kill(signal);
    await once(this.server, 'exit');
    return this.server.exitCode;
  }
  env(person) {
    const home = path.join(this.folder, 'people', person);
    return { PATH: process.env.PATH, HOME: home, XDG_STATE_HOME: `${home}/state`, XDG_CONFIG_HOME: `${home}/config`, DAYPASS_SERVER: this.url, DAYPASS_SOCKET: person === 'operator' ? this.socket : '', NO_COLOR: '1', PSQLRC: '/dev/null', LC_ALL: 'C.UTF-8' };
  }
  /** Runs the command line; {code, out, err}. `onErr` sees stderr as it comes. */
  cli(person, args, { onErr, onOut, stdin = 'ignore', signal } = {}) {
    const child = keep(spawn(daypass, args, { env: this.env(person), stdio: [stdin, 'pipe', 'pipe'], signal }));
    let out = '', err = '';
    child.stdout.on('data', (d) => { out += d; onOut?.(out, child); });
    child.stderr.on('data', (d) => { err += d; onErr?.(err, child); });
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, sig) => resolve({ code: code ?? 128, sig, out, err }));
    });
  }
  /** `daypass login` with `args`; `visit` is the browser, by default one that signs in at `op`. */
  async login(person, { args = [], visit = browse } = {}) {
    this.op.next = person;
    let visited, page;
    const done = await this.cli(person, ['login', '--no-browser', ...args], {
      onErr: (text, child) => {
        const url = text.match(/^ {2}(http:\S+)$/m)?.[1];
        if (!url || visited) return;
        visited = visit(url).then((p) => { page = p; if (!p.ok) child.kill('SIGTERM'); }, (e) => { child.kill('SIGTERM'); throw e; });
        visited.catch(() => {});  // thrown below, when the child has ended
      },
    });
    await visited;
    return { ...done, page };
  }
  async creds(person, ...args) {
    const done = await this.cli(person, ['creds', 'pg/orders', '-o', 'json', ...args]);
    if (done.code !== 0) throw new Error(done.err);
    return JSON.parse(done.out);
  }
  /** pg options for a credential, over TLS with the gateway's certificate checked. */
  options(creds, extra = {}) {
    return { host: 'localhost', port: creds.port, user: creds.user, password: creds.password, database: creds.database, ssl: { ca: creds.ca_pem, servername: 'localhost' }, ...extra };
  }
  async connect(creds, extra) {
    const client = new pg.Client(this.options(creds, extra));
    client.on('error', (e) => { client.lastError ??= e; });
    await client.connect();
    return client;
  }
  async audit() {
    const done = await this.cli('operator', ['audit', 'export']);
    return done.out.trim().split('\n').map((l) => JSON.parse(l));
  }
  async stop() {
    await this.stopServer();
    await this.op.stop();
    await this.pg.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Follows redirects with a cookie jar, as far as to an address that begins with `stop`; {ok, status, body, url}. `onAnswer` sees each answer. */
export async function browse(start, { method = 'GET', form, jar = new Map(), stop, onAnswer } = {}) {
  let url = start, body = form;
  for (let hop = 0; hop < 15; hop += 1) {
    if (stop && url.startsWith(stop)) return { ok: true, status: 0, body: '', url, jar };
    const { host } = new URL(url);
    const cookies = [...jar].filter(([k]) => k.startsWith(`${host}|`)).map(([k, v]) => `${k.split('|')[1]}=${v}`).join('; ');
    const res = await fetch(url, { method, redirect: 'manual', headers: { ...(cookies && { cookie: cookies }), ...(body && { 'content-type': 'application/x-www-form-urlencoded' }) }, body });
    for (const c of res.headers.getSetCookie()) {
      const [pair] = c.split(';');
      jar.set(`${host}|${pair.slice(0, pair.indexOf('='))}`, pair.slice(pair.indexOf('=') + 1));
    }
    const text = await res.text();
    onAnswer?.({ url, status: res.status, headers: res.headers, body: text });
    if (res.status < 300 || res.status >= 400) return { ok: res.ok, status: res.status, body: text, url, jar };
    url = new URL(res.headers.get('location'), url).href;
    method = 'GET';
    body = undefined;
  }
  throw new Error('sent around in circles');
}

/** Signs `sub` in as the command line does, without one: the token. Whoever calls this in parallel names one `sub`. */
export async function tokenOf(w, sub, { tenant = 'default', idp = 'demo' } = {}) {
  const redirect = 'http://127.0.0.1:9/callback', oauth = `${w.url}/t/${tenant}/oauth`;
  const verifier = randomBytes(32).toString('base64url');
  w.op.next = sub;
  const query = { response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', state: 's'.repeat(20), idp };
  const back = await browse(`${oauth}/authorize?${new URLSearchParams(query)}`, { stop: `${redirect}?` });
  if (back.status !== 0) throw new Error(`not signed in: ${back.status} ${back.body}`);
  const form = { grant_type: 'authorization_code', client_id: 'daypass-cli', code: new URL(back.url).searchParams.get('code'), code_verifier: verifier, redirect_uri: redirect };
  const res = await fetch(`${oauth}/token`, { method: 'POST', body: new URLSearchParams(form) });
  if (!res.ok) throw new Error(await res.text());
  return (await res.json()).access_token;
}
