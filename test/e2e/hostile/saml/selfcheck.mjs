// Checks the forger before anything is concluded from it: its canonical forms against xml-crypto's, and its valid responses
// against node-saml. Run: node selfcheck.mjs
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { C14nCanonicalization, C14nCanonicalizationWithComments, ExclusiveCanonicalization, ExclusiveCanonicalizationWithComments } from 'xml-crypto';
import { Forge, world } from './forge.mjs';
import { canonical, inScope } from './c14n.mjs';
import { parse, serialize, elements } from './sign.mjs';
import { NodeSaml, atTime } from './peer_node.mjs';
import { algorithms } from './sign.mjs';

// xml-crypto brings an older DOM of its own; its canonicaliser is given nodes of that DOM.
const older = createRequire(createRequire(import.meta.url).resolve('xml-crypto'))('@xmldom/xmldom');
const olderParse = (xml) => new older.DOMParser().parseFromString(xml, 'text/xml');

let forms = 0;
const samples = [
  '<a xmlns="urn:a" xmlns:b="urn:b" xmlns:unused="urn:u"><b:c z="1" b:y="2" a="3"/><d xmlns="">text &amp; &lt; &gt; "q"</d></a>',
  '<a xmlns:x="urn:1"><x:b><c xmlns:x="urn:2"><x:d/></c><x:e x:k="&quot;&#9;&#10;&#13;"/></x:b><!-- said --></a>',
  '<a xmlns="urn:a"><b xmlns=""><c xmlns="urn:a"/></b><![CDATA[<raw>&]]></a>',
  '<p:a xmlns:p="urn:p" xmlns="urn:d" p:x="1"><e><p:f xmlns:p="urn:q" p:x="2" x="3"/></e></p:a>',
];
for (const sample of samples) {
  const [mine, theirs] = [[...elements(parse(sample))], [...elements(olderParse(sample))]];
  mine.forEach((node, i) => {
    const outer = node.parentNode.nodeType === 1 ? [...inScope(node.parentNode)] : [];
    const ancestors = outer.map(([prefix, namespaceURI]) => ({ prefix, namespaceURI }));
    for (const [other, options] of [
      [new ExclusiveCanonicalization(), {}], [new ExclusiveCanonicalizationWithComments(), { comments: true }],
      [new C14nCanonicalization(), { exclusive: false }], [new C14nCanonicalizationWithComments(), { exclusive: false, comments: true }],
    ]) {
      // xml-crypto declares an inherited default namespace twice or not at all, so it is no judge of those.
      if (options.exclusive === false && outer.some(([prefix]) => prefix === '')) continue;
      assert.equal(canonical(node, options), other.process(theirs[i], { ancestorNamespaces: options.exclusive === false ? ancestors : [] }), sample);
      forms += 1;
    }
  });
}

const forge = new Forge();
atTime(world.now);
let accepted = 0;
const certificates = [forge.keys.idp.certPem, forge.keys.next.certPem];
const peer = new NodeSaml({ certificates, spKey: forge.keys.sp.keyPem });
const twins = [
  ...['assertion', 'response', 'both'].map((sign) => ({ sign })),
  // node-saml knows no ECDSA, and neither rsa-sha384 nor the digest SHA-384.
  ...['rsa-sha256', 'rsa-sha512'].flatMap((algorithm) => ['sha256', 'sha512'].map((digest) => ({ algorithm, digest }))),
  ...['aes128-gcm', 'aes256-gcm'].flatMap((cipher) => ['oaep', 'oaepPlain'].map((transport) => ({ encrypt: { cipher, transport } }))),
  ...['aes128-cbc', 'aes256-cbc'].map((cipher) => ({ sign: 'both', encrypt: { cipher } })),
  { sign: 'response', encrypt: {} }, { encrypt: { place: 'beside' } }, { key: 'next' }, { signature: { info: null } }, { signature: { prefix: '' } },
  { signature: { prefixes: ['xs'] } }, { sign: 'both', signature: { prefixes: ['xs', 'saml'] } }, { attributes: {} }, { sessionNotOnOrAfter: null },
];
for (const options of twins) {
  const xml = forge.response({ ...options });
  const { ok, message, identity } = await peer.verdict(Buffer.from(xml).toString('base64'));
  assert.ok(ok, `${JSON.stringify(options)}: ${message}`);
  assert.equal(identity.name_id, 'dana@corp.example');
  accepted += 1;
  const again = parse(serialize(parse(xml)));  // what the attacks do between two edits must not break a signature by itself
  assert.ok(canonical(again.documentElement) === canonical(parse(xml).documentElement));
}
// An unsigned one, one of a stranger's and one for nobody's request must fail, or the judge above judges nothing.
for (const options of [{ sign: 'none' }, { key: 'attacker' }, { audiences: [['https://else.example']] }, { inResponseTo: '_other' }, { notOnOrAfter: '2026-03-01T11:00:00Z' }]) {
  assert.equal((await peer.verdict(Buffer.from(forge.response(options)).toString('base64'))).ok, false, JSON.stringify(options));
}
// node-saml cannot judge these; xml-crypto's hand is missing too, so OpenSSL checks what was signed.
for (const [algorithm, key] of [['rsa-sha384', 'idp'], ['ecdsa-sha256', 'p256'], ['ecdsa-sha384', 'p384'], ['ecdsa-sha512', 'p521']]) {
  const doc = parse(forge.response({ algorithm, key, digest: 'sha384' }));
  const all = [...elements(doc)];
  const signed = canonical(all.find((e) => e.localName === 'SignedInfo'));
  const value = Buffer.from(all.find((e) => e.localName === 'SignatureValue').textContent, 'base64');
  const { verify } = await import('node:crypto');
  assert.ok(verify(algorithms[algorithm].hash, Buffer.from(signed), { key: forge.keys[key].publicKey, dsaEncoding: 'ieee-p1363' }, value));
  accepted += 1;
}
console.log(`saml selfcheck: ${forms} canonical forms equal, ${accepted} valid responses accepted`);
