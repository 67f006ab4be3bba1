// Signs the corpus's fixtures anew. They were signed with SHA-1 under a key that is not ours, so as they are they show only
// that SHA-1 is refused; with the same content under RSA-SHA256 the valid ones must be accepted, and the invalid ones refused
// for the flaw in their name, which is worked out of each file and made again after signing.
//   node resign.mjs --daypass BIN [--archive FILE] [--save FOLDER]
//   node resign.mjs --stand-in [--archive FILE]    through node-saml, which accepts assertions in Advice
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { place, unpack } from './corpus.mjs';
import { Daypass } from './daypass.mjs';
import { encryptAssertion } from './encrypt.mjs';
import { Forge } from './forge.mjs';
import { DS, elements, parse, serialize, sign } from './sign.mjs';

const { values: args } = parseArgs({ options: { daypass: { type: 'string' }, 'stand-in': { type: 'boolean' }, archive: { type: 'string' }, save: { type: 'string' } } });
if (!args.daypass && !args['stand-in']) {
  console.error('resign.mjs: say which program is tested: --daypass BIN');
  process.exit(2);
}
const archive = args.archive ?? place();
if (!fs.existsSync(archive)) {
  console.log(`saml corpus: skipped, ${archive} is absent: 16 valid, 20 invalid fixtures`);
  process.exit(0);
}

// The fixtures' world.
const world = { issuer: 'https://evil-corp.com', acs: 'https://evil-corp.madness.com/sso/callback', sp: 'https://evil-corp.madness.com/sso/metadata', request: '_e8df3fe5f04237d25670', now: '2020-09-25T16:30:00Z' };
const forge = new Forge();
const { keys } = forge;
const files = unpack(archive);
const cert = files.get('saml/cert.pem');
const bare = (pem) => pem.replace(/-----[A-Z ]+-----|\s|&#13;|&#xd;/g, '');
const fixtures = (kind) => [...files.keys()].filter((n) => n.startsWith(`saml/signatures/${kind}/`)).map((n) => path.basename(n)).sort();
const text = (kind, name) => files.get(`saml/signatures/${kind}/${name}`);

const named = (node, name) => [...elements(node)].filter((e) => e.localName === name);
const within = (node, name) => { for (let p = node.parentNode; p; p = p.parentNode) if (p.localName === name) return true; return false; };
const signatures = (doc) => named(doc, 'Signature').filter((e) => e.namespaceURI === DS);
const depth = (node) => { let d = 0; for (let p = node.parentNode; p; p = p.parentNode) d += 1; return d; };
const previous = (node) => { let p = node.previousSibling; while (p && p.nodeType !== 1) p = p.previousSibling; return p; };

/** What is known of a Signature: what it is on, where it stands, and each way in which it is not a right one. */
const facts = (s) => ({
  id: s.parentNode.getAttribute('ID'), depth: depth(s),
  place: previous(s)?.localName === 'Issuer' ? 'issuer' : 'last',
  invalid: named(s, 'SignatureValue')[0].textContent.startsWith('INVALID-'),
  transforms: named(s, 'Transform').map((t) => [t.getAttribute('Algorithm'), '']),
  stranger: named(s, 'X509Certificate').some((c) => bare(c.textContent) !== bare(cert)),
  lines: named(s, 'SignatureValue')[0].textContent.includes('\r'),
});

/** Takes the signatures off a fixture, and puts in what its author did not ask for: our audience, and one age for all of it. */
function strip(doc) {
  for (const s of signatures(doc)) s.parentNode.removeChild(s);
  doc.documentElement.setAttribute('IssueInstant', '2020-09-25T16:00:00Z');
  for (const c of named(doc, 'Conditions').filter((e) => !within(e, 'Advice'))) {
    for (const old of named(c, 'AudienceRestriction')) old.parentNode.removeChild(old);
    const restriction = `<saml:AudienceRestriction xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:Audience>${world.sp}</saml:Audience></saml:AudienceRestriction>`;
    c.appendChild(doc.importNode(parse(restriction).documentElement, true));
  }
  return doc;
}

/** Where the texts and attributes of an invalid fixture differ from its valid twin's: what was changed after signing. */
function changes(valid, invalid) {
  const [a, b] = [valid, invalid].map((xml) => [...elements(strip(parse(xml)))]);
  if (a.length !== b.length) return [];
  const leaf = (e) => !Array.from(e.childNodes).some((c) => c.nodeType === 1);
  return a.flatMap((e, i) => [
    ...(leaf(e) && e.textContent !== b[i].textContent ? [{ at: i, text: b[i].textContent }] : []),
    ...Array.from(e.attributes).filter((x) => x.name !== 'ID' && b[i].getAttribute(x.name) !== x.value).map((x) => ({ at: i, attribute: x.name, text: b[i].getAttribute(x.name) })),
  ]);
}

/** Signs as the facts say, the innermost first. `alter` changes the document after the assertion's signature and before the Response's. */
function resign(xml, list, alter = (s) => s) {
  let out = xml;
  let altered = false;
  for (const f of [...list].sort((a, b) => b.depth - a.depth)) {
    if (f.depth === 2) { out = alter(out); altered = true; }
    const key = f.stranger ? keys.attacker : keys.idp;
    out = sign(out, f.id, { key, place: f.place, transforms: f.transforms });
    const doc = parse(out);
    const s = signatures(doc).find((e) => e.parentNode.getAttribute('ID') === f.id);
    const v = named(s, 'SignatureValue')[0];
    if (f.invalid) v.textContent = `INVALID-${v.textContent.slice(8)}`;
    if (f.lines) for (const e of [v, named(s, 'X509Certificate')[0]]) e.textContent = e.textContent.replace(/.{76}/g, '$&\r\n    ');
    out = serialize(doc);
  }
  return altered ? out : alter(out);
}

const usual = [[`${DS}enveloped-signature`, ''], ['http://www.w3.org/2001/10/xml-exc-c14n#', '']];

/**
 * A fixture made again. Cured, it is made without its flaw: that one must be accepted, or the flaw is not what is refused.
 */
function again(kind, name, { cured = false } = {}) {
  let source = text(kind, name);
  let behind = '';
  if (name.includes('multiple-root')) {
    const end = source.indexOf('</samlp:Response>') + '</samlp:Response>'.length;
    [source, behind] = [source.slice(0, end), source.slice(end)];
  }
  let list = signatures(parse(source)).map(facts);
  if (cured) {
    if (!list.length) list = [{ id: named(parse(source), 'Assertion')[0].getAttribute('ID'), depth: 3 }];
    list = list.map((f) => ({ ...f, place: 'issuer', invalid: false, stranger: false, transforms: usual }));
  }
  let body = source;
  let alter;
  if (name.includes('encrypted')) {
    // The corpus has no key to open it with; its plain sibling says what is inside.
    const method = /xmlenc#(aes\d+-cbc)/.exec(source)[1];
    const sibling = again(kind, name.replace('-encrypted', ''), { cured }).assertion;
    const encrypted = encryptAssertion(sibling, { cipher: method, transport: 'oaepPlain', to: keys.sp });
    const doc = parse(source);
    const old = named(doc, 'EncryptedAssertion')[0];
    old.parentNode.replaceChild(doc.importNode(parse(encrypted).documentElement, true), old);
    body = serialize(doc);
  } else if (name.includes('invalidly-signed')) {
    const twin = text('valid', name.replace('invalidly-signed', 'signed'));
    const changed = changes(twin, source);
    if (!changed.length) throw new Error(`${name}: nothing differs from its valid twin`);
    const doc = parse(twin);
    const ids = signatures(doc).map(facts);
    for (const f of list) f.id = ids.find((i) => i.depth === f.depth).id;
    body = twin;
    alter = (xml) => {
      if (cured) return xml;
      const d = parse(xml);
      const unsigned = [...elements(d)].filter((e) => e.namespaceURI !== DS);
      for (const c of changed) {
        if (c.attribute) unsigned[c.at].setAttribute(c.attribute, c.text);
        else unsigned[c.at].textContent = c.text;
      }
      return serialize(d);
    };
  }
  let xml = resign(serialize(strip(parse(body))), list, alter);
  if (source.includes('&#xd;')) xml = xml.replace(/&#13;/g, '&#xd;');
  const first = named(parse(xml), 'Assertion')[0];
  // An assertion out of its Response takes along the namespaces it leans on.
  if (first && !first.getAttribute('xmlns:saml')) first.setAttributeNS('http://www.w3.org/2000/xmlns/', 'xmlns:saml', first.namespaceURI);
  return { xml: xml + behind, assertion: first && serialize(first), id: first?.getAttribute('ID') };
}

/** The check that a fixture's name asks for. */
function wanted(name) {
  const flaw = (checks) => new RegExp(`^saml\\.(${checks})$`);
  if (name.includes('multiple-root')) return flaw('xml');
  if (name.includes('advice')) return flaw('advice');
  if (name.includes('transforms')) return flaw('transform');
  if (name.includes('attacker')) return flaw('signature');
  if (name.includes('invalidly')) return flaw('signature|digest');
  // Nothing but "INVALID-" at the head of each SignatureValue, on Signatures that stand behind everything else.
  if (/root-signed|assertion-signed/.test(name)) return flaw('signature|base64|shape');
  return flaw('unsigned');
}

async function main(verdict) {
  const count = { valid: 0, advice: 0, invalid: 0, cured: 0, original: 0, wrong: 0 };
  const judge = async (what, name, xml, options, expect) => {
    const v = await verdict(Buffer.from(xml).toString('base64'), options, name);
    let why = v.broken ?? null;
    if (expect === null && !why) {
      if (!v.ok) why = `refused by ${v.check}: ${v.message}`;
      else if (v.identity.name_id.trim() !== 'vincent.vega@evil-corp.com' || v.identity.issuer !== world.issuer) why = `accepted as ${v.identity.name_id} of ${v.identity.issuer}`;
    } else if (!why) {
      if (v.ok) why = `accepted as ${v.identity.name_id}; wanted ${expect}`;
      else if (v.check && !expect.test(v.check)) why = `refused by ${v.check} (${v.message}); wanted ${expect}`;
    }
    if (!why) count[what] += 1;
    else {
      count.wrong += 1;
      console.log(`wrong: ${what}: ${name}: ${why}`);
      if (args.save) { fs.mkdirSync(args.save, { recursive: true }); fs.writeFileSync(path.join(args.save, `${what}.${name}`), xml); fs.writeFileSync(path.join(args.save, 'metadata.xml'), options.metadata); fs.writeFileSync(path.join(args.save, 'sp-key.pem'), options.spKey); }
    }
  };
  const calls = { spEntityId: world.sp, acs: world.acs, now: world.now, requestId: world.request, spKey: keys.sp.keyPem };
  const ours = { ...calls, metadata: forge.metadata({ entity: world.issuer }), certPem: keys.idp.certPem };
  const theirs = { ...calls, metadata: forge.metadata({ entity: world.issuer }).replace(keys.idp.cert.toString('base64'), bare(cert)), certPem: cert };
  for (const name of fixtures('valid')) {
    const advice = name.includes('advice');
    await judge(advice ? 'advice' : 'valid', name, again('valid', name).xml, ours, advice && args.daypass ? wanted(name) : null);
  }
  for (const name of fixtures('invalid')) {
    await judge('invalid', name, again('invalid', name).xml, ours, wanted(name));
    // Two roots have no cure: the first has no assertion. Where assertions in Advice are refused, they remain a flaw.
    if (!name.includes('multiple-root') && !(args.daypass && name.includes('advice'))) await judge('cured', name, again('invalid', name, { cured: true }).xml, ours, null);
  }
  if (args.daypass) {
    // The fixtures with signed advice are the only ones with SHA-256.
    for (const name of fixtures('valid')) await judge('original', name, text('valid', name), theirs, /advice/.test(name) ? /^saml\.(algorithm|advice)$/ : /^saml\.algorithm$/);
    for (const name of fixtures('invalid')) await judge('original', name, text('invalid', name), theirs, /^saml\./);
  }
  console.log(`saml corpus: ${count.valid} valid accepted, ${count.advice} with Advice ${args.daypass ? 'refused' : 'accepted'}, ${count.invalid} invalid refused for their flaw, ${count.cured} of those accepted without it, ${count.original} originals refused, ${count.wrong} wrong`);
  return count.wrong === 0;
}

let verdict;
if (args.daypass) {
  const daypass = new Daypass(args.daypass);
  verdict = (field, options) => daypass.verify(field, options);
} else {
  const { NodeSaml, atTime } = await import('./peer_node.mjs');
  atTime(world.now);
  verdict = (field, o, name) => new NodeSaml({ certificates: [o.certPem], spKey: o.spKey, spEntityId: o.spEntityId, acs: o.acs, issuer: world.issuer, requestId: o.requestId, assertionsSigned: /assertion-(invalidly-)?signed/.test(name) }).verdict(field);
}
process.exitCode = await main(verdict) ? 0 : 1;
