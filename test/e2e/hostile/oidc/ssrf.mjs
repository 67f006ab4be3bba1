// Runs inside namespaces of its own (ssrf.test.mjs makes them): every address of the table is this machine's, the provider
// listens at each, and names mean what the table says. Prints one line of JSON for each module.
import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HostileOp } from './provider.mjs';
import { HostileWorld } from './world.mjs';
import { addresses, here, hosts, ssrf } from './modules/ssrf.mjs';

function run(command, ...args) {
  const done = spawnSync(command, args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr ?? done.error}`);
}
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-ssrf-'));
const file = (name, text) => { const p = path.join(scratch, name); fs.writeFileSync(p, text); return p; };

run('ip', 'link', 'set', 'lo', 'up');
for (const address of [here, ...addresses.filter((a) => !/^(127\.|::1$)/.test(a))]) run('ip', 'address', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : []));
for (const [name, text] of Object.entries({ 'resolv.conf': 'nameserver 127.0.0.1\noptions timeout:2 attempts:2\n', hosts: '127.0.0.1 localhost\n::1 localhost\n', 'nsswitch.conf': 'hosts: files dns\npasswd: files\ngroup: files\n' })) run('mount', '--bind', file(name, text), `/etc/${name}`);

/** A name server for `hosts`, and for nothing else. */
let asked = 0;  // A records of the name that changes
function reply(query) {
  let at = 12;
  const labels = [];
  while (query[at]) { labels.push(query.toString('latin1', at + 1, at + 1 + query[at])); at += query[at] + 1; }
  const name = labels.join('.').toLowerCase();
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  let known = hosts[name];
  if (name === 'rebind.example' && type === 1 && (asked += 1) > 1) known = ['169.254.169.254'];
  const bytes = (address) => (address.includes(':') ? Buffer.from(expand(address)) : Buffer.from(address.split('.').map(Number)));
  const records = (known ?? []).filter((a) => a.includes(':') === (type === 28) && [1, 28].includes(type)).map((a) => {
    const data = bytes(a);
    const head = Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length]);
    return Buffer.concat([head, data]);
  });
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, question, ...records]);
}
function expand(address) {
  const v4 = address.match(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/);
  const text = v4 ? address.replace(v4[0], [v4.slice(1, 3), v4.slice(3, 5)].map(([a, b]) => (Number(a) * 256 + Number(b)).toString(16)).join(':')) : address;
  const [left, right = ''] = text.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = text.includes('::') ? [...left, ...Array(8 - left.length - right.length).fill('0'), ...right] : left;
  return groups.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]);
}
const dns = dgram.createSocket('udp4').on('message', (query, from) => dns.send(reply(query), from.port, from.address));
dns.bind(53, '127.0.0.1');
await once(dns, 'listening');

// One certificate that fits every name and address: it is not the certificate that keeps anybody out.
const names = [...Object.keys(hosts).map((h) => `DNS:${h}`), 'DNS:localhost', ...[here, '0.0.0.0', ...addresses].map((a) => `IP:${a}`)];
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2', '-subj', '/CN=idp.example', '-addext', `subjectAltName=${names.join(',')}`, '-keyout', path.join(scratch, 'key'), '-out', path.join(scratch, 'cert'));
const op = await HostileOp.start({ tls: { key: fs.readFileSync(path.join(scratch, 'key')), cert: fs.readFileSync(path.join(scratch, 'cert')) }, host: 'idp.example', listen: '::', port: 443 });
op.ca = path.join(scratch, 'cert');
let reached = [];
op.server.on('connection', (socket) => reached.push(socket.localAddress.replace(/^::ffff:/, '')));

const world = await HostileWorld.start(ssrf, { op });
let code = 0;
try {
  for (const module of ssrf) {
    world.beforeLie = () => { reached = []; };
    const { twin, lie } = await world.both(module);
    const strange = reached.filter((a) => a !== here && a !== module.reaches);
    const problem = (twin.problem && `the twin: ${twin.problem}`) ?? lie.problem ?? (strange.length ? `connected to ${strange}` : module.reaches && !reached.includes(module.reaches) ? `never connected to ${module.reaches}` : null);
    console.log(JSON.stringify({ name: module.name, problem }));
  }
} catch (e) {
  console.error(e.stack);
  code = 1;
}
await world.stop();
dns.close();
fs.rmSync(scratch, { recursive: true, force: true });
// Whatever a server under attack still holds open must not keep this process; the code says whether the run itself failed.
process.exit(code);
