// Runs the attack table: every attack must be refused by the check that guards against it, and every valid twin accepted.
//   node run.mjs --daypass BIN [--only TEXT] [--save FOLDER] [--limit SECONDS]
//   node run.mjs --stand-in [--only TEXT]    the same through node-saml: which twins it takes, and which attacks
// --save writes each mismatch as a folder with the response, the metadata, the key and the command line.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Daypass } from './daypass.mjs';
import { Forge, world } from './forge.mjs';
import { attacks, field, prepare } from './attacks.mjs';

const { values: args } = parseArgs({ options: { daypass: { type: 'string' }, 'stand-in': { type: 'boolean' }, only: { type: 'string' }, save: { type: 'string' }, limit: { type: 'string', default: '10' } } });
if (!args.daypass && !args['stand-in']) {
  console.error('run.mjs: say which program is tested: --daypass BIN');
  process.exit(2);
}
const forge = new Forge();
const chosen = attacks.filter((a) => !args.only || a.name.includes(args.only));

/** The options of one call: the metadata and the command line, each with what the attack or its twin changes. */
const options = (metadata, cli, logout) => ({ ...(logout && { slo: world.slo }), metadata: forge.metadata(metadata), spKey: 'spKey' in cli ? cli.spKey : forge.keys.sp.keyPem, requestId: 'requestId' in cli ? cli.requestId : world.request });

/** Why an accepted identity is not the twin's; null if it is. */
function misread(identity, wanted, { anyAttributes, anyId, logout, outcome = 'signed_out' } = {}) {
  if (logout) return identity.in_response_to === world.logout && identity.outcome === outcome ? null : `it is taken for ${JSON.stringify(identity)}`;
  for (const name of ['issuer', 'name_id', 'session_indexes', ...(anyId ? [] : ['assertion_id'])]) {
    if (JSON.stringify(identity[name]) !== JSON.stringify(wanted[name])) return `${name} is ${JSON.stringify(identity[name])} and not ${JSON.stringify(wanted[name])}`;
  }
  const sorted = (o) => JSON.stringify(Object.entries(o ?? {}).sort());
  return anyAttributes || sorted(identity.attributes) === sorted(wanted.attributes) ? null : `attributes are ${JSON.stringify(identity.attributes)}`;
}

function save(name, text, o) {
  const folder = path.join(args.save, name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 120));
  fs.mkdirSync(folder, { recursive: true });
  for (const [file, content] of [['response', text], ['metadata.xml', o.metadata], ['sp-key.pem', o.spKey ?? '']]) fs.writeFileSync(path.join(folder, file), content);
  fs.writeFileSync(path.join(folder, 'command'), `daypass saml verify -o json --response response --idp-metadata metadata.xml${o.spKey ? ' --sp-key sp-key.pem' : ''} --sp-entity-id ${world.sp} --acs ${world.acs} --now ${world.now}${o.requestId === null ? '' : ` --request-id ${o.requestId}`}\n`);
}

async function main(verdict) {
  let refused = 0, twins = 0, wrong = 0, passes = 0;
  const took = new Map();
  const fail = (name, why, text, o) => {
    if (!args.daypass && !name.startsWith('valid twin')) return console.log(`node-saml: ${name}: ${why.slice(0, 200)}`);
    wrong += 1;
    console.log(`wrong: ${name}: ${why}`);
    if (args.save) save(name, text, o);
  };
  for (const attack of chosen) {
    if (attack.needsServer || unable(attack)) continue;
    const { options: made, twin, variants } = prepare(attack, forge);
    const wanted = attack.logout ? null : forge.identity(made);
    const twinCall = options(attack.metadata, attack.cli, attack.logout);
    // Many attacks share a twin but for its random IDs; it is asked about once.
    const key = JSON.stringify([attack.logout, attack.twin, attack.metadata, attack.cli]);
    if (!took.has(key)) {
      const v = await verdict(field({}, twin), twinCall, attack);
      const why = v.ok ? misread(v.identity, wanted, { logout: attack.logout }) : v.broken ?? `refused by ${v.check}: ${v.message}`;
      took.set(key, !why);
      if (why) fail(`valid twin of ${attack.name}`, why, field({}, twin), twinCall);
      else twins += 1;
    }
    const call = options({ ...attack.metadata, ...attack.attackMetadata }, { ...attack.cli, ...attack.attackCli }, attack.logout);
    const answers = new Set();
    let bad = 0;
    for (const [i, variant] of variants.entries()) {
      const name = variants.length === 1 ? attack.name : `${attack.name} #${i}`;
      const posted = field(attack, variant);
      const v = await verdict(posted, call, attack);
      answers.add(`${v.check} ${v.message}`);
      let why = v.broken ?? null;
      if (v.ok) {
        why = attack.accept || attack.either ? misread(v.identity, wanted, attack) : `accepted, as ${v.identity.name_id}; wanted ${attack.expect}`;
        if (!why) passes += 1;
      } else if (!why) {
        if (attack.accept) why = `refused by ${v.check} (${v.message}); it is valid`;
        else if (v.check && !attack.expect.test(v.check)) why = `refused by ${v.check} (${v.message}); wanted ${attack.expect}`;
        else refused += 1;
      }
      if (why) { bad += 1; fail(name, why, posted, call); }
    }
    if (attack.same && !bad && answers.size !== 1) fail(attack.name, `the refusals differ and so tell something: ${[...answers].slice(0, 3).join('; ')}`, '', call);
  }
  const later = chosen.filter((a) => a.needsServer).map((a) => a.name);
  if (later.length) console.log(`not run here, they need a server: ${later.join('; ')}`);
  if (passes) console.log(`saml attacks: ${passes} variants without harm accepted, with the right identity`);
  console.log(`saml attacks: ${refused} refused for the right reason, ${twins} twins accepted, ${wrong} wrong`);
  return wrong === 0 && refused + twins > 0;
}

let verdict;
let unable = () => false;
if (args.daypass) {
  const daypass = new Daypass(args.daypass);
  verdict = (posted, call) => daypass.verify(posted, call, Number(args.limit) * 1000);
} else {
  const { NodeSaml, atTime } = await import('./peer_node.mjs');
  atTime(world.now);
  // What node-saml does not know at all says nothing about the table.
  unable = ({ twin, metadata, raw, logout }) => logout || /ecdsa|sha384|aes192|oaep256/.test(JSON.stringify(twin)) || raw || metadata.signing?.some((n) => n.startsWith('p'));
  verdict = async (posted, call, attack) => {
    const signing = { ...attack.metadata, ...attack.attackMetadata }.signing ?? ['idp'];
    if (!signing.length || posted.length > 4 << 20) return { ok: false, message: 'not tried' };
    const judge = new NodeSaml({ certificates: signing.map((n) => forge.keys[n].certPem), spKey: call.spKey ?? undefined, requestId: call.requestId });
    return judge.verdict(posted.toString());
  };
}
process.exitCode = await main(verdict) ? 0 : 1;
