// Random mutants of signed responses, judged by Daypass, by npm @node-saml/node-saml and by python3-pysaml2 over xmlsec1.
//   node differential.mjs --daypass BIN --count N --seed S [--case I] [--keys FILE] [--save FOLDER]
// pysaml2 starts processes, so it is asked only about what Daypass accepts and about 1,000 others. Case I of seed S is made
// again with --case I; with --keys FILE (made if absent) under the same keys too, all but what
// RSA-OAEP draws by itself. --save keeps every case that is printed.
// --without-pysaml2 leaves node-saml as the only other judge, where the Debian packages are missing.
// Exit 1 if Daypass accepts what both others refuse, reads an identity that nobody signed, or ends by itself.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import { attacks, prepare } from './attacks.mjs';
import { wanted } from './attacks/tools.mjs';
import { Daypass } from './daypass.mjs';
import { Forge, world } from './forge.mjs';
import { freeze, makeKeys, thaw } from './keys.mjs';
import { Random, mutant } from './mutate.mjs';
import { NodeSaml, atTime } from './peer_node.mjs';

const { values: args } = parseArgs({ options: { daypass: { type: 'string' }, count: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' }, case: { type: 'string' }, keys: { type: 'string' }, save: { type: 'string' }, 'without-pysaml2': { type: 'boolean' } } });
if (!args.daypass) {
  console.error('differential.mjs: say which program is tested: --daypass BIN');
  process.exit(2);
}
const [count, seed] = [Number(args.count), Number(args.seed)];
os.setPriority(Math.max(os.getPriority(), 15));  // the judges it starts inherit this

if (args.keys && !fs.existsSync(args.keys)) fs.writeFileSync(args.keys, freeze(makeKeys()), { mode: 0o600 });
const forge = new Forge(args.keys ? thaw(fs.readFileSync(args.keys, 'utf8')) : undefined);
const metadata = forge.metadata({ signing: ['idp', 'next'] });

/** Valid responses of several people and kinds that all three judges know: pysaml2 refuses a PrefixList, node-saml ECDSA. */
function makePool() {
  const r = new Random(seed);
  forge.random = (n) => r.bytes(n);
  const kinds = {
    assertion: {}, response: { sign: 'response' }, both: { sign: 'both' }, next: { key: 'next' }, bare: { signature: { info: null } },
    sha512: { algorithm: 'rsa-sha512', digest: 'sha512' }, gcm: { encrypt: { cipher: 'aes256-gcm' } }, cbc: { sign: 'response', encrypt: { cipher: 'aes128-cbc' } }, gcmBoth: { sign: 'both', encrypt: { cipher: 'aes128-gcm' } },
  };
  const people = { dana: ['data', 'on-call'], sam: ['support'], ada: ['admins'] };
  return Object.entries(kinds).flatMap(([kind, options]) => Object.entries(people).map(([name, groups]) => ({
    name: `${kind}/${name}`, valid: true,
    xml: forge.response({ ...options, nameId: `${name}@corp.example`, attributes: { mail: [`${name}@corp.example`], groups }, responseId: `_r-${kind}-${name}`, assertionId: `_a-${kind}-${name}` }),
  })));
}
const signed = new Set(['dana@corp.example', 'sam@corp.example', 'ada@corp.example']);

/**
 * The attack table's documents that fit this world; large ones would only slow the run. What one of the others does not know
 * leaves two judges, and they may disagree about anything else: RSA-OAEP as XML Encryption 1.1 spells it (neither knows it), AES-192
 * in GCM mode and SHA-384 (node-saml does not).
 */
function makeAttacked() {
  return attacks.filter((a) => !a.raw && !/key transport oaep256|aes192-gcm|SHA-384/.test(a.name) && !a.needsServer && !a.heavy && ![a.metadata, a.cli, a.attackMetadata, a.attackCli].some((o) => Object.keys(o).length))
    .flatMap((a) => prepare(a, forge).variants.slice(0, 2).map((xml) => ({ name: a.name, xml })))
    .filter((a) => a.xml.length < 60000);
}

class Pysaml2 {
  constructor() {
    this.child = spawn('/usr/bin/python3', [path.join(import.meta.dirname, 'peer_pysaml2.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    this.child.on('exit', (code) => { this.ended = `pysaml2 ended by itself (${code}); apt-get install python3-pysaml2 xmlsec1`; for (const w of this.waiting.splice(0)) w({ broken: this.ended }); });
    this.child.stdin.on('error', () => {});
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => this.waiting.shift()?.(JSON.parse(line)));
    this.#say({ metadata, sp_key: forge.keys.sp.keyPem, sp_cert: forge.keys.sp.certPem, sp: world.sp, acs: world.acs, request: world.request, now: world.now });
  }
  #say(line) { this.child.stdin.write(`${JSON.stringify(line)}\n`); }
  verdict(response) {
    if (this.ended) return Promise.resolve({ broken: this.ended });
    return new Promise((done) => { this.waiting.push(done); this.#say({ response }); });
  }
  close() { this.child.stdin.end(); }
}

const pool = makePool();
const attacked = makeAttacked();
atTime(world.now);
const judges = {
  daypass: new Daypass(args.daypass).batch({ metadata, spKey: forge.keys.sp.keyPem }),
  node: new NodeSaml({ certificates: [forge.keys.idp.certPem, forge.keys.next.certPem], spKey: forge.keys.sp.keyPem }),
  python: args['without-pysaml2'] ? null : new Pysaml2(),
};

const table = new Map();
const found = { disagreements: 0, alone: 0, unsigned: 0, readOtherwise: 0, broken: 0 };
const say = (v) => (v.ok ? 'accepts' : `refuses (${(v.message ?? v.broken ?? '').slice(0, 100)})`);
const clean = (s) => (s ?? '').trim();

function show(what, i, m, lines) {
  console.log(`${what}: case ${i} of seed ${seed}: ${m.from} + ${m.steps.join(', ') || 'nothing'}: ${lines}`);
  if (!args.save) return;
  const folder = path.join(args.save, `${seed}-${i}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'response.xml'), m.xml);
  fs.writeFileSync(path.join(folder, 'metadata.xml'), metadata);
  fs.writeFileSync(path.join(folder, 'sp-key.pem'), forge.keys.sp.keyPem, { mode: 0o600 });
}

/** The three verdicts on one case, counted and compared. */
async function judge(i, m, verdict, sample) {
  const base64 = m.xml.toString('base64');
  const [d, n] = await Promise.all([verdict, judges.node.verdict(base64)]);
  const p = judges.python && (d.ok || sample) ? await judges.python.verdict(base64) : null;
  for (const [name, v] of [['Daypass', d], ['pysaml2', p]]) {
    if (!v?.broken) continue;
    found.broken += 1;
    if (!v.later) show(`${name} gives no verdict`, i, m, v.broken);
    return;
  }
  const key = [d.ok, n.ok, p ? p.ok : null].join();
  table.set(key, (table.get(key) ?? 0) + 1);
  if (!d.ok) return;
  const peers = [['node-saml', n], ...(p ? [['pysaml2', p]] : [])];
  const refusing = peers.filter(([, v]) => !v.ok);
  const words = peers.map(([name, v]) => `${name} ${say(v)}`).join(', ');
  if (refusing.length === peers.length) { found.alone += 1; show('we alone accept', i, m, words); } else if (refusing.length) { found.disagreements += 1; show('we accept, one refuses', i, m, words); }
  // What is read must have been signed, whoever else accepts it.
  const name = clean(d.identity.name_id);
  if (m.honest ? !signed.has(name) : name === wanted.nameId) { found.unsigned += 1; show('we read what nobody signed', i, m, `${JSON.stringify(d.identity)}`); }
  const other = peers.filter(([, v]) => v.ok && (clean(v.identity.name_id) !== name || v.identity.assertion_id !== d.identity.assertion_id || clean(v.identity.issuer) !== clean(d.identity.issuer)));
  if (other.length) { found.readOtherwise += 1; show('we read another identity', i, m, `${JSON.stringify(d.identity)}, ${other.map(([who, v]) => `${who} ${JSON.stringify(v.identity)}`).join(', ')}`); }
}

async function main() {
  for (const p of pool) {
    const base64 = Buffer.from(p.xml).toString('base64');
    for (const [name, judged] of Object.entries(judges)) {
      const v = judged ? await judged.verdict(base64) : { ok: true };
      if (!v.ok) { console.log(`differential: ${name} does not accept the valid response ${p.name}: ${v.broken ?? v.check ?? ''} ${v.message ?? ''}`); return false; }
    }
  }
  const cases = args.case === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(args.case)];
  const every = Math.max(1, Math.floor(count / 1000));
  let asked = 0;
  for (let at = 0; at < cases.length; at += 100) {
    // Daypass judges a hundred ahead while the others are busy with them.
    const batch = cases.slice(at, at + 100).map((i) => {
      const m = mutant(new Random(seed, i), pool, attacked);
      return { i, m, verdict: judges.daypass.verdict(m.xml.toString('base64')) };
    });
    for (const { i, m, verdict } of batch) {
      const sample = (i % every === 0 && asked < 1000) || args.case !== undefined;
      if (sample) asked += 1;
      await judge(i, m, verdict, sample);
      if (args.case !== undefined) console.log(m.xml.toString());
    }
    if (found.broken) break;
  }
  const words = { true: 'accepts', false: 'refuses', '': 'not asked' };
  console.log('Daypass   node-saml pysaml2   cases');
  for (const [key, n] of [...table].sort()) console.log(`${key.split(',').map((k) => words[k].padEnd(9)).join(' ')} ${String(n).padStart(7)}`);
  console.log(`saml differential: seed ${seed}, ${[...table.values()].reduce((a, b) => a + b, 0)} cases, ${found.alone} accepted by us alone, ${found.disagreements} where one other refuses, `
    + `${found.unsigned} unsigned identities read, ${found.readOtherwise} identities read otherwise, ${found.broken} without a verdict`);
  return found.alone + found.unsigned + found.broken === 0;
}

process.exitCode = await main() ? 0 : 1;
judges.daypass.close();
judges.python?.close();
