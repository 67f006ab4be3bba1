// What each identity provider really sends, given to `daypass saml verify`: DAYPASS=… node verify.mjs [name…].
// The good answers must be taken with their attributes, and each spoilt one refused by the check that is meant for it.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { StandIn } from './standin.mjs';

const daypass = process.env.DAYPASS;
if (!daypass) throw new Error('DAYPASS must name the binary');
const all = ['samlp', 'pysaml2', 'simplesamlphp', 'lemonldap', 'keycloak'];
const wanted = process.argv.slice(2);
const user = { name: 'dana', password: 'password of dana', attributes: { displayName: 'Dana', department: 'data' }, groups: ['data', 'R&D <all>'] };

/** `daypass saml verify` on `xml`: {code, check} or {code, ...what it printed}. */
function verify(sp, idp, xml, change = {}) {
  const file = (name, text) => { const p = path.join(sp.folder, name); fs.writeFileSync(p, text, { mode: 0o600 }); return p; };
  const options = {
    'idp-metadata': file('idp.xml', idp.metadataXml), response: file('response.xml', xml), 'sp-entity-id': sp.sp.entityId, acs: sp.sp.acs,
    now: new Date().toISOString(), 'request-id': sp.id, 'sp-key': file('sp.pem', sp.key + sp.sp.cert), ...change,
  };
  const args = ['saml', 'verify', '-o', 'json', ...Object.entries(options).flatMap(([k, v]) => (v === undefined ? [] : [`--${k}`, v]))];
  const done = spawnSync(daypass, args, { encoding: 'utf8' });
  let said;
  try { said = JSON.parse(done.stdout); } catch { throw new Error(`no JSON from daypass ${args.join(' ')}\n${done.stdout}${done.stderr}`); }
  return { code: done.status, check: said.error?.check, stderr: done.stderr, ...said };
}

function same(got, expected, what) {
  if (JSON.stringify(got) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

function accepted(idp, got) {
  if (got.code !== 0) throw new Error(`refused by ${got.check}: ${got.stderr}`);
  same(got.issuer, idp.entityId, 'issuer');
  for (const [name, value] of Object.entries({ ...user.attributes, groups: user.groups })) same(got.attributes[name]?.toSorted(), [value].flat().toSorted(), `attribute ${name}`);
}

function refused(got, pattern, what) {
  if (got.code !== 1) throw new Error(`${what}: exit ${got.code}`);
  if (!pattern.test(got.check ?? '')) throw new Error(`${what}: ${got.check}, expected ${pattern}`);
}

async function run(name, scratch) {
  const { start, variants } = await import(`./${name}.mjs`);
  const sp = new StandIn(scratch);
  let count = 0;
  // CBC without a signature around it is the one thing that these providers offer and that must never be taken.
  const cbc = variants.find((v) => v.encrypt?.endsWith('-cbc') && v.encrypt !== 'tripledes-cbc');
  for (const variant of [{}, ...variants, ...(cbc ? [{ ...cbc, sign: 'assertion' }] : [])]) {
    const idp = await start({ scratch, sps: [sp.sp], users: [user], ...variant });
    try {
      const answer = await idp.login(sp.authnRequest(idp), user);
      const xml = Buffer.from(answer.fields.SAMLResponse, 'base64').toString();
      const label = `${name} ${JSON.stringify(variant)}`;
      const encrypted = Boolean(variant.encrypt);
      if (variant.encrypt === 'tripledes-cbc') refused(verify(sp, idp, xml), /^xmlenc\./, label);
      else if (variant.encrypt?.endsWith('-cbc') && variant.sign === 'assertion') refused(verify(sp, idp, xml), /^saml\.unauthenticated_encryption$/, label);
      else {
        accepted(idp, verify(sp, idp, xml));
        accepted(idp, verify(sp, idp, answer.fields.SAMLResponse));
        const day = 86400e3;
        refused(verify(sp, idp, xml, { now: new Date(Date.now() + day).toISOString() }), /^saml\.(expired|session_over)$/, `${label}, a day later`);
        refused(verify(sp, idp, xml, { now: new Date(Date.now() - day).toISOString() }), /^saml\.not_yet_valid$/, `${label}, a day earlier`);
        refused(verify(sp, idp, xml, { 'request-id': undefined }), /^saml\.in_response_to$/, `${label}, to nobody's request`);
        refused(verify(sp, idp, xml, { 'request-id': '_another' }), /^saml\.in_response_to$/, `${label}, to another request`);
        refused(verify(sp, idp, xml, { 'sp-entity-id': 'http://other.test/metadata' }), /^saml\.audience$/, `${label}, for somebody else`);
        refused(verify(sp, idp, xml, { acs: 'http://other.test/callback' }), /^saml\.(destination|recipient)$/, `${label}, sent elsewhere`);
        if (!encrypted) refused(verify(sp, idp, xml.replace('>Dana<', '>Dena<')), /^xmldsig\./, `${label}, with another name`);
        const bare = xml.replace(/<((?:\w+:)?)Signature\b[\s\S]*?<\/\1Signature>/g, '');
        // Below AES-GCM the assertion may still have a signature of its own, and then loses nothing.
        if (!encrypted) refused(verify(sp, idp, bare), /^saml\.unsigned$/, `${label}, without its signatures`);
        if (variant.encrypt?.endsWith('-cbc')) refused(verify(sp, idp, bare), /^saml\.unauthenticated_encryption$/, `${label}, without the response's signature`);
        count += 8;
      }
      count += 1;
    } finally { await idp.stop(); }
  }
  return count;
}

let bad = 0;
for (const name of all.filter((n) => wanted.length === 0 || wanted.includes(n))) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-idps-'));
  try {
    console.log(`${name}: ok: ${await run(name, scratch)} verdicts`);
    fs.rmSync(scratch, { recursive: true, force: true });
  } catch (e) {
    if (e.absent) {
      console.log(`${name}: skipped: ${e.absent}`);
      continue;
    }
    bad += 1;
    console.log(`${name}: failed: ${e.message}\n  what it wrote is in ${scratch}`);
  }
}
process.exitCode = bad ? 1 : 0;
