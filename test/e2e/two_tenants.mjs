// Two tenants of one server that are as alike as can be: the same names of people, groups, a target and an identity provider. Each has two
// OpenID providers, a PostgreSQL server and policies of its own. Every name and every free text bears a canary: a text that occurs nowhere else.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { World, Postgres, CertifiedOp, browse, daypass, freePort } from './harness.mjs';

const letters = 'abcdefghijklmnopqrstuvwxyz', digits = '234567';
const pick = (from) => from[randomInt(from.length)];
export const random = (n) => Array.from({ length: n }, () => pick(letters + digits)).join('');
const canary = () => `cny${random(14)}`;

/** Another identifier of the same shape that nobody ever had: letters stay letters, digits digits, what marks its kind stays. */
export function ghostOf(id) {
  const mark = id.match(/^(gr_|ls_|cx_|su_|sg_|dc_|dp-|dp_|dpt_|cny|ten-|corp\/|pg\/(orders\/)?)*/)[0];
  const rest = [...id.slice(mark.length)].map((c) => (/[a-z]/.test(c) ? pick(letters) : /[A-Z]/.test(c) ? pick('BCDFGHJKLMNPQRSTVWXZ') : /[0-9]/.test(c) ? pick(digits) : c)).join('');
  return mark + rest;
}

/** Where the code of a sign-in goes to: nothing listens there, and `browse` stops before it. */
export const redirect = 'http://127.0.0.1:9/callback';

class Tenant {
  constructor(world, id) {
    this.world = world;
    this.id = id;
    this.url = `${world.url}/t/${id}`;
    this.c = {};
    for (const name of ['display', 'idp', 'idpDisplay', 'clientId', 'down', 'issuer', 'target', 'role', 'description', 'attribute', 'roleAttribute', 'policy', 'policyText', 'policyFile', 'group', 'subject', 'person', 'admin', 'email', 'department', 'reason', 'sql', 'database', 'pgGroup', 'row', 'secret', 'sealed', 'password', 'scim', 'scimName', 'scimSubject', 'scimGroupName', 'forward']) this.c[name] = canary();
    // A loopback address that nobody else names.
    this.c.host = `127.${[1, 2, 3].map(() => randomInt(100, 250)).join('.')}`;
    this.folder = path.join(world.folder, id);
  }
  async start() {
    const { c } = this;
    const own = {
      dana: { sub: 'dana', name: c.person, email: `${c.email}@example.test`, groups: ['data', c.group], department: c.department },
      ada: { sub: 'ada', name: c.admin, email: `${c.email}@example.test`, groups: ['data', 'admins'], department: c.department },
      [c.subject]: { sub: c.subject, name: c.person, email: `${c.email}@example.test`, groups: ['data', c.group], department: c.department },
    };
    this.pg = await Postgres.start(this.world.folder, { name: `pg-${this.id}`, listen: `127.0.0.1,::1,${c.host}` });
    this.ops = {};
    for (const idp of ['corp', c.idp]) {
      const op = await CertifiedOp.start(own);
      op.secret = `client-secret-of-a-test-${c.secret}`;
      op.redirects = [`${this.url}/idp/${idp}/callback`];
      await op.rotate();
      this.ops[idp] = op;
    }
    this.deadPort = await freePort();
    // Takes this tenant's audit records, and nobody else's.
    this.received = '';
    this.receiver = createServer((req, res) => { req.setEncoding('utf8').on('data', (d) => { this.received += d; }).on('end', () => res.writeHead(204).end()); });
    this.receiver.listen(0, '127.0.0.1');
    await once(this.receiver, 'listening');
    await this.pg.prepareOrders();
    await this.pg.sql(`ALTER ROLE daypass_admin PASSWORD '${c.password}'`);
    await this.pg.sql(`CREATE DATABASE ${c.database}`);
    await this.pg.sql(`REVOKE CONNECT ON DATABASE orders, ${c.database} FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO daypass_admin, orders_reader`);
    await this.pg.sql(`CREATE ROLE ${c.pgGroup} NOLOGIN; CREATE TABLE owner (name text); INSERT INTO owner VALUES ('${c.row}'); GRANT SELECT ON owner TO ${c.pgGroup}; GRANT CONNECT ON DATABASE ${c.database} TO daypass_admin, ${c.pgGroup}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`, c.database);
    await this.pg.sql(`CREATE TABLE owner (name text); INSERT INTO owner VALUES ('${c.row}'); GRANT SELECT ON owner TO orders_reader`, 'orders');
    const [{ server_version_num: version }] = await this.pg.sql('SHOW server_version_num');
    if (Number(version) >= 160000) await this.pg.sql(`GRANT ${c.pgGroup} TO daypass_admin WITH ADMIN OPTION`);
    this.keep();
  }
  /** Writes the folder, and the files that it refers to. */
  keep() {
    for (const [name, text] of Object.entries(this.files())) this.world.write(path.join(this.id, name), text);
    this.secret('idp', this.ops.corp.secret);
    this.secret('pg', this.c.password);
    this.secret('scim', this.scimToken);
    this.secret('signing', this.signingSecret);
  }
  get signingSecret() { return `signing-secret-of-a-test-${this.c.secret}`; }
  get scimToken() { return `scim-token-of-a-test-${this.c.scim}`; }
  /** The provider "corp" tells of somebody who signs in nowhere, and of a group with that person in it. */
  async tell() {
    const say = async (at, json) => {
      const got = await this.ask('POST', `/idp/corp/scim/v2${at}`, { token: this.scimToken, json });
      if (got.status !== 201) throw new Error(got.body);
      return got.json.id;
    };
    const user = await say('/Users', { userName: this.c.scimName, externalId: this.c.scimSubject });
    return { user, group: await say('/Groups', { displayName: this.c.scimGroupName, members: [{ value: user }] }) };
  }
  idp(name, issuer, clientId = 'daypass') {
    const scim = name === 'corp' ? `[idp.scim]\ntokens = ["file:${this.secrets}/scim"]\n` : '';
    return `[[idp]]\nname = "${name}"\ndisplay = "Sign in at ${this.c.idpDisplay}, ${name}"\nissuer = "${issuer}"\nclient_id = "${clientId}"\nclient_secret = "file:${this.secrets}/idp"\nscopes = ["profile"]\ngroups = "groups"\n[idp.attributes]\nemail = "email"\ndepartment = "department"\n${scim}\n`;
  }
  target(name, database, change = {}) {
    const t = { host: '127.0.0.1', port: this.pg.port, user: 'daypass_admin', password: `${this.secrets}/pg`, ...change };
    return `[[target]]\nname = "${name}"\nhost = "${t.host}"\nport = ${t.port}\ndatabase = "${database}"\nadmin_user = "${t.user}"\nadmin_password = "file:${t.password}"\ntls = "loopback"\n[target.attributes]\nowner = "${this.c.attribute}"\n\n`;
  }
  /** A tenant's folder as texts. In `a` the first provider's people read orders, in the other tenant the second's do: the same group names elsewhere are traps. */
  files() {
    const { c } = this;
    const [reads, special] = this.first ? ['corp', c.idp] : [c.idp, 'corp'];
    return {
      'tenant.toml': `${Object.entries(this.ops).map(([name, op]) => this.idp(name, op.issuer)).join('')}${this.idp(c.down, `http://127.0.0.1:${this.deadPort}/${c.issuer}`, c.clientId)}${this.target('pg/orders', 'orders')}${this.target(`pg/${c.target}`, c.database, { host: c.host })}[[role]]\nname = "pg/orders/reader"\ngroup = "orders_reader"\ndescription = "${c.description}"\n\n[[role]]\nname = "pg/${c.target}/${c.role}"\ngroup = "${c.pgGroup}"\n[role.attributes]\nteam = "${c.roleAttribute}"\n\n[[forward]]\nname = "${c.forward}"\nurl = "http://127.0.0.1:${this.receiver.address().port}/${c.forward}"\nsecrets = ["file:${this.secrets}/signing"]\n`,
      [`policies/${c.policyFile}.cedar`]: `@id("${c.policy}-forbid") forbid(principal, action == Action::"assume", resource) when { context.reason == "no ${c.policyText}" };\n`,
      'policies/main.cedar': `// ${c.policyText}
@id("data-read") @duration("1h") @idle("30m") @connections("20")
permit(principal in Group::"${reads}/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("${c.policy}") @duration("1h") @idle("30m") @connections("20")
permit(principal in Group::"${special}/data", action == Action::"assume", resource == Role::"pg/${c.target}/${c.role}");
@id("admins") permit(principal in Group::"corp/admins", action == Action::"administer", resource == Tenant::"${this.id}");
`,
    };
  }
  /** The roles that policy gives people of the group "data" at each provider. */
  given() {
    const [reads, special] = this.first ? ['corp', this.c.idp] : [this.c.idp, 'corp'];
    return { [reads]: ['pg/orders/reader'], [special]: [`pg/${this.c.target}/${this.c.role}`] };
  }
  /** Where this tenant's own administrators may point to. */
  get secrets() { return path.join(this.world.data, 'secrets', this.id); }
  /** The path of a new secret of the tenant's own. */
  secret(name, text) {
    fs.mkdirSync(this.secrets, { recursive: true, mode: 0o700 });
    fs.writeFileSync(path.join(this.secrets, name), `${text}\n`, { mode: 0o600 });
    return path.join(this.secrets, name);
  }
  apply() { return this.world.cli('operator', ['apply', this.folder, '--yes', '--tenant', this.id]); }

  // -- sign-in by hand, to hold each identifier of it in one's hands -----------------------------------------------
  /** As far as to the identity provider: {idp, url, state, cookie, jar, verifier}. */
  async begin(idp) {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', state: randomBytes(18).toString('base64url'), idp });
    const jar = new Map();
    const at = await browse(`${this.url}/oauth/authorize?${query}`, { jar, stop: this.ops[idp].issuer, onAnswer: this.onAnswer });
    return { idp, url: at.url, state: new URL(at.url).searchParams.get('state'), cookie: jar.get(`${new URL(this.url).host}|daypass-login`), jar, verifier };
  }
  /** Through the identity provider and back, as far as to the code. */
  async finish(begun, person) {
    this.ops[begun.idp].next = person;
    const back = await browse(begun.url, { jar: begun.jar, stop: redirect, onAnswer: this.onAnswer });
    if (back.status !== 0) throw new Error(`no code: ${back.status} ${back.body}`);
    return { ...begun, code: new URL(back.url).searchParams.get('code') };
  }
  async redeem({ code, verifier }) {
    const answer = await this.ask('POST', '/oauth/token', { form: { grant_type: 'authorization_code', client_id: 'daypass-cli', code, code_verifier: verifier, redirect_uri: redirect } });
    return { ...JSON.parse(answer.body), status: answer.status };
  }
  async signIn(idp, person) {
    const got = await this.redeem(await this.finish(await this.begin(idp), person));
    if (got.status !== 200) throw new Error(JSON.stringify(got));
    return got;
  }
  /** One request; {status, headers, body, json}. Remembered when this tenant is watched. */
  async ask(method, at, { token, form, json, cookie } = {}) {
    return this.world.request(method, at.startsWith('http') ? at : this.url + at, { token, form, json, cookie, onAnswer: this.onAnswer });
  }
  api(method, at, token, json) { return this.ask(method, `/api/v1${at}`, { token, json }); }
  async login(home, idp, person) {
    this.ops[idp].next = person;
    let visited;
    const done = await this.cli(home, ['login', '--no-browser', '--tenant', this.id, '--idp', idp], {
      onErr: (text, child) => {
        const url = text.match(/^ {2}(http:\S+)$/m)?.[1];
        if (!url || visited) return;
        visited = browse(url, { onAnswer: this.onAnswer }).then((p) => { if (!p.ok) child.kill('SIGTERM'); });
      },
    });
    await visited;
    return done;
  }
  async cli(home, args, options) {
    const done = await this.world.cli(home, args, options);
    this.onAnswer?.({ sent: args.join(' '), status: done.code, body: `${done.out}\n${done.err}` });
    return done;
  }
  async stop() {
    for (const op of Object.values(this.ops ?? {})) await op.stop();
    await this.pg?.stop();
    this.receiver?.closeAllConnections();
    this.receiver?.close();
  }
}

export class TwoTenants extends World {
  static async start() {
    const self = new TwoTenants();
    self.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-e2e-'));
    fs.chmodSync(self.folder, 0o711);
    self.apiPort = await freePort();
    self.gatePort = await freePort();
    self.url = `http://127.0.0.1:${self.apiPort}`;
    self.data = path.join(self.folder, 'data');
    self.socket = path.join(self.data, 'daypass.sock');
    self.write = (name, text) => { const p = path.join(self.folder, name); fs.mkdirSync(path.dirname(p), { recursive: true }); fs.writeFileSync(p, text, { mode: 0o600 }); return p; };
    self.config = self.write('daypass.toml', `[server]\ndata_dir = "${self.data}"\npublic_url = "${self.url}"\n\n[api]\nlisten = "127.0.0.1:${self.apiPort}"\n\n[gate.postgres]\nlisten = "127.0.0.1:${self.gatePort}"\npublic_host = "localhost"\n\n[log]\nlevel = "debug"\n\n[limits]\nmax_connections_per_address = 1000\n`);
    self.log = '';
    await self.startServer();
    self.a = new Tenant(self, `ten-${random(8)}`);
    self.b = new Tenant(self, `ten-${random(8)}`);
    self.a.first = true;
    // All that reaches A: what was asked, and what came.
    self.seen = [];
    self.a.onAnswer = ({ sent, url, status, headers, body }) => self.seen.push({ sent: sent ?? url, got: `${status} ${headers ? JSON.stringify([...headers]) : ''}\n${body}` });
    await self.a.start();
    await self.b.start();
    return self;
  }
  /** One more tenant, on the servers and with the people of one that is deleted. */
  async heir(of) {
    const heir = new Tenant(this, `ten-${random(8)}`);
    Object.assign(heir, { pg: of.pg, ops: of.ops, deadPort: of.deadPort, receiver: of.receiver, c: of.c });
    for (const [idp, op] of Object.entries(of.ops)) {
      op.redirects = [`${heir.url}/idp/${idp}/callback`];
      await op.rotate();
    }
    heir.keep();
    return heir;
  }
  async startServer() {
    await super.startServer();
    this.server.stderr.on('data', (d) => { this.log += d; });
    this.log += this.serverLog;
  }
  operate(...args) { return this.cli('operator', args); }
  async tenantNames() {
    const done = await this.operate('tenants', 'ls', '-o', 'json');
    return new Map(JSON.parse(done.out).tenants.map((t) => [t.id, t]));
  }
  async request(method, url, { token, form, json, raw, cookie, confirm, onAnswer } = {}) {
    const body = form ? new URLSearchParams(form).toString() : json ? JSON.stringify(json) : raw?.body;
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(cookie && { cookie: `daypass-login=${cookie}` }), ...(confirm && { cookie: `daypass-confirm=${confirm}`, origin: this.url }), ...(form && { 'content-type': 'application/x-www-form-urlencoded' }), ...(json && { 'content-type': 'application/json' }), ...(raw && { 'content-type': raw.type }) };
    const res = await fetch(url, { method, redirect: 'manual', headers, body });
    const text = await res.text();
    onAnswer?.({ sent: `${method} ${url} ${JSON.stringify(headers)} ${body ?? ''}`, status: res.status, headers: res.headers, body: text });
    return { status: res.status, headers: res.headers, body: text, get json() { return JSON.parse(text); } };
  }
  /** psql as `daypass connect` runs it, open until it is told to end: `say` gives what a statement printed. */
  psql(tenant, home, target, extra = []) {
    const child = spawn(daypass, ['connect', target, '--tenant', tenant.id, ...extra, '--', '-X', '-At', '-v', 'VERBOSITY=verbose'], { env: this.env(home), stdio: ['pipe', 'pipe', 'pipe'] });
    const self = { child, out: '', err: '', code: undefined };
    let told = () => {};
    child.stdout.on('data', (d) => { self.out += d; told(); });
    child.stderr.on('data', (d) => { self.err += d; });
    child.stdin.on('error', () => {});
    self.ended = once(child, 'close').then(([code]) => { self.code = code; tenant.onAnswer?.({ sent: `psql ${target}`, status: code, body: self.out + self.err }); told(); return code; });
    let turn = 0;
    self.say = async (sql) => {
      const end = `end-${turn += 1}`, from = self.out.length;
      child.stdin.write(`${sql};\n\\echo ${end}\n`);
      while (!self.out.slice(from).includes(`${end}\n`) && self.code === undefined) await new Promise((r) => { told = r; });
      if (self.code !== undefined) throw new Error(`psql ended with ${self.code}: ${self.err}`);
      return self.out.slice(from, self.out.indexOf(`${end}\n`, from)).trim();
    };
    self.close = async () => { child.stdin.end(); return self.ended; };
    this.open = [...(this.open ?? []), child];
    return self;
  }
  async stop() {
    for (const child of this.open ?? []) child.kill('SIGKILL');
    await this.stopServer();
    for (const tenant of [this.a, this.b]) await tenant?.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
