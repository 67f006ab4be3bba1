// Audit records on their way to real receivers: a signed webhook and syslog over TLS; one that hangs holds up nobody, and misses nothing.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import tls from 'node:tls';
import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { World, until } from './harness.mjs';

const key = Buffer.from('a key of a test, thirty-two bytes');
const secret = `whsec_${key.toString('base64')}`;

/** A receiver of webhooks that believes nothing unsigned. `mode`: "takes", "refuses", or "hangs". */
class Hook {
  async start() {
    this.mode = 'takes';
    this.lines = [];
    this.calls = [];
    this.server = createServer((req, res) => {
      let body = '';
      req.setEncoding('utf8').on('data', (d) => { body += d; }).on('end', () => {
        const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature, 'content-type': type, authorization } = req.headers;
        this.calls.push({ id, method: req.method, url: req.url, type, authorization });
        if (this.mode === 'hangs') return;
        const expected = `v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}`;
        const good = signature === expected && Math.abs(Date.now() / 1000 - at) < 300;
        if (this.mode === 'refuses' || !good) { this.bad ||= !good && `${signature} is not ${expected}`; res.writeHead(500).end('their own words'); return; }
        this.lines.push(...body.trimEnd().split('\n'));
        res.writeHead(204).end();
      });
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }
  get port() { return this.server.address().port; }
  stop() { this.server.closeAllConnections(); this.server.close(); }
}

/** Syslog over TLS as RFC 5425 has it: each message behind its length. */
class Collector {
  async start(folder) {
    this.ca = path.join(folder, 'syslog.pem');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path.join(folder, 'syslog.key'), '-out', this.ca, '-subj', '/CN=syslog', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'], { stdio: 'ignore' });
    this.messages = [];
    this.server = tls.createServer({ key: fs.readFileSync(path.join(folder, 'syslog.key')), cert: fs.readFileSync(this.ca) }, (socket) => {
      let bytes = Buffer.alloc(0);
      socket.on('error', () => {});
      socket.on('data', (d) => {
        bytes = Buffer.concat([bytes, d]);
        for (;;) {
          const space = bytes.indexOf(' ');
          const length = Number(bytes.subarray(0, space));
          if (space < 0 || bytes.length < space + 1 + length) break;
          this.messages.push(bytes.subarray(space + 1, space + 1 + length).toString('utf8'));
          bytes = bytes.subarray(space + 1 + length);
        }
      });
      socket.on('end', () => { if (bytes.length) this.rest = bytes.toString(); });
    });
    this.server.on('tlsClientError', (e) => { this.failed = e.message; });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }
  get port() { return this.server.address().port; }
  /** The records alone. */
  get lines() { return this.messages.map((m) => m.slice(m.indexOf('{'))); }
  stop() { this.server.close(); }
}

let w, hook, collector;
const settings = (more = '') => `[[forward]]\nname = "siem"\nurl = "http://127.0.0.1:${hook.port}/hook?x=1"\nsecrets = ["file:${w.folder}/signing"]\nauthorization = "file:${w.folder}/token"\n\n[[forward]]\nname = "archive"\nurl = "tls://127.0.0.1:${collector.port}"\nca_file = "${collector.ca}"\n${more}`;
before(async () => {
  hook = await new Hook().start();
  w = await World.start({
    prepare: async (self) => {
      w = self;
      collector = await new Collector().start(self.folder);
      self.write('signing', `${secret}\n`);
      self.write('token', 't0k3n\n');
      self.write('tenant/forward.toml', settings());
    },
  });
  await w.login('dana');
});
after(async () => { hook?.stop(); collector?.stop(); await w?.stop(); });

const exported = async () => (await w.cli('operator', ['audit', 'export'])).out.trimEnd().split('\n');
const forwards = async () => Object.fromEntries(JSON.parse((await w.cli('operator', ['audit', 'forward', 'ls', '-o', 'json'])).out).forwards.map((f) => [f.name, f]));
const metric = async (name) => Number(new RegExp(`^${name} ([\\d.e+]+)`, 'm').exec(await (await fetch(`${w.url}/metrics`)).text())[1]);
/** Every record that there is now has come, in order and without a gap. */
const complete = async (receiver, what) => { const log = await exported(); await until(() => receiver.lines.length >= log.length, what); assert.deepEqual(receiver.lines.slice(0, log.length), log, what); };

test('every record comes to both, to the byte, signed or over TLS', { timeout: 60000 }, async () => {
  const client = await w.connect(await w.creds('dana'));
  await client.query('SELECT 1');
  await client.end();
  await complete(hook, 'the webhook');
  await complete(collector, 'the collector');
  assert.equal(hook.bad, undefined);
  const [first] = hook.calls;
  assert.equal(first.method, 'POST');
  assert.equal(first.url, '/hook?x=1');
  assert.equal(first.type, 'application/x-ndjson');
  assert.equal(first.authorization, 'Bearer t0k3n');
  assert.match(collector.messages[0], /^<1(09|10)>1 \d{4}-\d\d-\d\dT[\d:.]+Z 127\.0\.0\.1 daypass - \S+ \[meta sequenceId="1"\]\[origin software="Daypass" swVersion="[\d.]+"\] \{/);
  assert.equal(collector.rest, undefined);
  const shown = await forwards();
  assert.equal(shown.siem.lag, 0);
  assert.equal(shown.siem.failures, 0);
  assert.equal(shown.siem.host, '127.0.0.1');
  assert.match((await w.cli('operator', ['audit', 'forward', 'ls'])).out, /archive +syslog at 127\.0\.0\.1 +jsonl +\d+ +0 +has everything/);
  assert.equal(JSON.stringify(shown).includes('hook?x=1'), false, 'an address may hold a token of its own');
});

test('one that hangs holds up neither access nor the other, and is shown', { timeout: 90000 }, async () => {
  hook.mode = 'hangs';
  const had = hook.lines.length;
  for (let i = 0; i < 5; i += 1) assert.equal((await w.cli('operator', ['secrets', 'set', `s${i}`, '--file', w.config])).code, 0);
  const client = await w.connect(await w.creds('dana'));
  await client.end();
  await complete(collector, 'the collector goes on');
  // Between two tries, that is.
  const siem = await until(async () => { const got = (await forwards()).siem; return got.failures > 0 && got.next_try && got; }, 'the failure to be seen', 30000);
  assert.equal(siem.check, 'forward.unreachable');
  assert.ok(siem.lag >= 5 && siem.behind_since, JSON.stringify(siem));
  assert.equal(hook.lines.length, had);
  assert.equal(await metric('daypass_audit_forwards_failing'), 1);
  assert.ok(await metric('daypass_audit_forward_lag_records') >= 5);
  assert.ok(await metric('daypass_audit_forward_lag_seconds') > 0);
  await until(async () => /siem .* fails, behind since .*, next try .*forward\.unreachable/.test((await w.cli('operator', ['audit', 'forward', 'ls'])).out), 'people to read of it', 30000);
  assert.match(w.serverLog, /a receiver of audit records takes none/);
});

test('over a restart it lacks nothing, and gets what it has not taken', { timeout: 90000 }, async () => {
  await w.stopServer('SIGKILL');
  hook.mode = 'refuses';
  await w.startServer();
  await until(async () => (await forwards()).siem.check === 'forward.refused', 'the refusal');
  const { siem } = await forwards();
  assert.match(siem.why, /answered 500/);
  assert.doesNotMatch(siem.why, /their own words/);
  hook.mode = 'takes';
  assert.equal((await w.cli('operator', ['audit', 'forward', 'retry', 'siem'])).code, 0);
  assert.equal((await w.cli('operator', ['audit', 'forward', 'retry', 'nobody'])).code, 6);
  await complete(hook, 'the webhook');
  const numbers = hook.lines.map((l) => JSON.parse(l).seq);
  assert.deepEqual(numbers, [...numbers.keys()], 'none twice here, as none was taken twice');
  assert.equal((await forwards()).siem.failures, 0);
  assert.match(w.serverLog, /a receiver of audit records takes them again/);
});

test('a certificate that nobody vouches for gets nothing', { timeout: 60000 }, async () => {
  w.write('tenant/forward.toml', `[[forward]]\nname = "stranger"\nurl = "tls://127.0.0.1:${collector.port}"\n`);
  assert.equal((await w.cli('operator', ['apply', w.tenant, '--yes'])).code, 0);
  const before = collector.messages.length;
  await until(async () => (await forwards()).stranger?.failures > 0, 'the refusal');
  assert.match((await forwards()).stranger.why, /tls\.certificate/);
  assert.equal(collector.messages.length, before);
  assert.deepEqual(Object.keys(await forwards()), ['stranger'], 'the others are forgotten');
});

test('a tenant\'s administrators send to the internet, or to where the operator lets them', { timeout: 60000 }, async () => {
  await w.login('ada');
  w.write('tenant/forward.toml', settings());
  const refused = await w.cli('ada', ['apply', w.tenant, '--yes']);
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /forward siem: the tenant may not name 127\.0\.0\.1, a host of a private network/);
  assert.match(refused.err, /forward archive: the tenant may not name 127\.0\.0\.1/);
  assert.match(refused.err, /a reference to something of the server that is not the tenant's own: file:.*signing/);
});
