// The sign-in page of a tenant with two providers: chosen, or suggested for a domain that a real name server proves. The server's
// resolver is pointed at ours by a mount namespace of its own.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { CertifiedOp, World, browse, daypass, until } from './harness.mjs';

/** Answers TXT queries over UDP with what `texts` holds, by name; NXDOMAIN for the rest. */
class NameServer {
  static async start(address) {
    const self = new NameServer();
    self.texts = new Map();
    self.asked = [];
    self.address = address;
    self.socket = createSocket('udp4');
    self.socket.on('message', (query, from) => self.socket.send(self.answer(query), from.port, from.address));
    self.socket.bind(53, address);
    await once(self.socket, 'listening');
    return self;
  }
  answer(query) {
    const labels = [];
    let at = 12;
    for (let n; (n = query[at]) !== 0; at += n + 1) labels.push(query.toString('latin1', at + 1, at + 1 + n));
    const question = query.subarray(12, at + 5);
    const name = labels.join('.');
    this.asked.push(name);
    const texts = this.texts.get(name) ?? [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(texts.length ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(texts.length, 6);
    return Buffer.concat([head, question, ...texts.map((text) => {
      const data = Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(16, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE(60, 6);
      record.writeUInt16BE(data.length, 10);
      return Buffer.concat([record, data]);
    })]);
  }
  stop() { this.socket.close(); }
}

// As in a root folder that is no mount of its own.
const skip = spawnSync('unshare', ['-m', 'true']).status === 0 ? false : 'a mount namespace can\'t be had here';

let w, dns, other;
before(async () => {
  if (skip) return;
  dns = await NameServer.start(`127.53.${1 + (process.pid % 250)}.1`);
  other = await CertifiedOp.start();
  w = await World.start({
    prepare: async (world) => {
      world.write('resolv.conf', `nameserver ${dns.address}\n`);
      other.redirects = [`${world.url}/t/default/idp/partner/callback`];
      await other.rotate();
      world.write('partner-secret', other.secret);
      world.write('tenant/idps/partner.toml', `[[idp]]\nname = "partner"\ndisplay = "Partner & Sons"\nissuer = "${other.issuer}"\nclient_id = "daypass"\nclient_secret = "file:${world.folder}/partner-secret"\nscopes = ["profile"]\ndomains = ["partner.example"]\n`);
      world.launch = () => spawn('unshare', ['-m', 'sh', '-c', `mount --bind '${world.folder}/resolv.conf' /etc/resolv.conf && exec '${daypass}' server run --config '${world.config}'`], { stdio: ['ignore', 'ignore', 'pipe'] });
    },
  });
});
after(async () => { await w?.stop(); await other?.stop(); dns?.stop(); });

const query = { response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20) };
const page = async (hint) => (await browse(`${w.url}/t/default/oauth/authorize?${new URLSearchParams({ ...query, ...(hint !== undefined && { hint }) })}`)).body;
const domains = async (...args) => { const done = await w.cli('operator', ['idp', 'domains', ...args, '-o', 'json']); return { code: done.code, ...JSON.parse(done.out) }; };

test('the page lets people choose, and keeps what the command line asked for', { skip }, async () => {
  const html = await page();
  const links = [...html.matchAll(/class="idp" href="\?([^"]+)"/g)].map((m) => new URLSearchParams(m[1].replaceAll('&amp;', '&')));
  assert.deepEqual(links.map((l) => l.get('idp')).sort(), ['demo', 'partner']);
  for (const link of links) for (const [name, value] of Object.entries(query)) assert.equal(link.get(name), value);
  assert.match(html, /Partner &amp; Sons/);
});

test('only a domain that DNS proves suggests a provider, whoever has the address', { skip, timeout: 60000 }, async () => {
  const before = await domains();
  assert.equal(before.code, 1);
  const [{ record, value, state }] = before.domains;
  assert.deepEqual([record, state], ['_daypass-challenge.partner.example', 'unproven']);
  const plain = await page('dana@partner.example');
  assert.equal(plain, await page('nobody@unknown.example'), 'an unproven domain is an unknown one');
  assert.equal(plain, await page('dana@demo.example'));
  dns.texts.set(record, ['v=spf1 -all', 'daypass-domain=another']);
  await until(async () => (await domains('--check')).domains[0].why?.includes('another value'), 'the wrong value to be seen');
  assert.equal(await page('dana@partner.example'), plain);
  dns.texts.set(record, ['v=spf1 -all', value]);
  await until(async () => (await domains('--check')).code === 0, 'the proof to be found');
  const suggested = await page('dana@partner.example');
  assert.match(suggested, /People of that domain sign in at<\/p><p><a class="idp"[^>]+>Partner &amp; Sons/);
  for (const same of ['nobody@partner.example', 'partner.example', 'DANA@Partner.Example']) assert.equal(await page(same), suggested, same);
  for (const none of ['dana@mail.partner.example', 'dana@xpartner.example', '', '@', 'x'.repeat(400)]) assert.equal(await page(none), plain, none);
  const records = (await w.audit()).filter((r) => r.action.startsWith('domain.'));
  assert.deepEqual(records.map((r) => [r.action, r.object]), [['domain.proven', 'partner.example']]);
  // The record of one tenant proves nothing for another.
  assert.equal((await w.cli('operator', ['tenants', 'create', 'second'])).code, 0);
  const applied = await w.cli('operator', ['apply', w.write('second/tenant.toml', `[[idp]]\nname = "p"\nissuer = "${other.issuer}"\nclient_id = "x"\nclient_auth = "none"\ndomains = ["partner.example"]\n`).replace(/\/tenant\.toml$/, ''), '--yes', '--tenant', 'second']);
  assert.equal(applied.code, 0, applied.err);
  const seconds = await domains('--check', '--tenant', 'second');
  assert.deepEqual([seconds.code, seconds.domains[0].state], [1, 'unproven']);
  assert.notEqual(seconds.domains[0].value, value);
});

test('a restart forgets no proof, and --idp needs no page', { skip, timeout: 60000 }, async () => {
  const suggested = await page('partner.example');
  dns.texts.clear();
  await w.stopServer();
  await w.startServer();
  assert.equal(await page('partner.example'), suggested);
  other.next = 'dana';
  const done = await w.login('dana', { args: ['--idp', 'partner'], visit: (url) => { other.next = 'dana'; return browse(url); } });
  assert.equal(done.code, 0, done.err);
});
