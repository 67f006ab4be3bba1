// Owns attacks on the Signature itself: where it stands, what it points to, how it transforms, which algorithm and key it
// uses, and what else lies in it.
import crypto from 'node:crypto';
import { broken, checks, child, corrupt, edit, either, find, fine, fragment, made, remove, swap, unbound } from './tools.mjs';
import { DS, ENVELOPED, EXCLUSIVE, INCLUSIVE, algorithms } from '../sign.mjs';
import { canonical } from '../c14n.mjs';
import { assertionXml } from '../forge.mjs';
import { pem } from '../keys.mjs';

const both = (text) => ({ assertion: `${text} (assertion)`, response: `${text} (response)` });
/** The same attack on a signed assertion and on a signed response. */
const twice = (name, mutate, expect, more = {}) => Object.entries(both(name)).map(([sign, title]) => ({ name: title, twin: { sign }, mutate, expect, ...more }));
const knob = (name, signature, expect, more = {}) => Object.entries(both(name)).map(([sign, title]) => (
  { name: title, twin: { sign }, mutate: (xml, t) => t.again({ signature: typeof signature === 'function' ? signature(t) : signature }), expect, ...more }));
const signatureOf = (doc) => find(doc, 'Signature');
const transform = (...list) => ({ transforms: list.map((t) => (Array.isArray(t) ? t : [t, ''])) });
const idOf = (t) => (t.o.sign === 'response' ? t.o.responseId : t.o.assertionId);

/** Signs the SignedInfo of the first Signature again, after an edit of it, with the honest key: what only a careless identity provider could make. */
function resigned(xml, t, fn) {
  return edit(xml, (doc) => {
    fn(find(doc, 'SignedInfo'), doc);
    const value = crypto.sign('sha256', Buffer.from(canonical(find(doc, 'SignedInfo'))), t.keys.idp.privateKey);
    find(doc, 'SignatureValue').textContent = value.toString('base64');
  });
}

const placement = [
  ...twice('no Signature', (xml) => edit(xml, (doc) => remove(signatureOf(doc))), checks('unsigned', 'signature', 'shape')),
  made('never signed', { sign: 'none' }, checks('unsigned', 'signature', 'shape')),
  ...twice('the Signature\'s namespace is another', (xml) => swap(xml, `xmlns:ds="${DS}"`, 'xmlns:ds="urn:example:dsig"'), checks(...unbound, 'xml')),
  ...twice('the Signature is empty', (xml) => edit(xml, (doc) => { signatureOf(doc).textContent = ''; }), checks(...unbound)),
  { name: 'the assertion\'s Signature is a child of the Response', mutate: (xml) => edit(xml, (doc) => {
    doc.documentElement.insertBefore(signatureOf(doc), child(doc.documentElement, 'Status'));
  }), expect: checks(...unbound) },
  { name: 'the assertion\'s Signature is a grandchild of it', mutate: (xml) => edit(xml, (doc) => { find(doc, 'Subject').appendChild(signatureOf(doc)); }), expect: checks(...unbound, 'xml') },
  { name: 'the assertion\'s Signature is in an attribute value', mutate: (xml) => edit(xml, (doc) => { find(doc, 'AttributeValue').appendChild(signatureOf(doc)); }), expect: checks(...unbound, 'xml') },
  { name: 'the Response\'s Signature is a child of the assertion', twin: { sign: 'response' }, mutate: (xml) => edit(xml, (doc) => {
    const a = child(doc.documentElement, 'Assertion');
    a.insertBefore(signatureOf(doc), child(a, 'Subject'));
  }), expect: checks(...unbound) },
  { name: 'the Response\'s Signature is in its Status', twin: { sign: 'response' }, mutate: (xml) => edit(xml, (doc) => { child(doc.documentElement, 'Status').appendChild(signatureOf(doc)); }), expect: checks(...unbound, 'xml') },
  // A schema wants it behind Issuer; what it covers is the same elsewhere among the children.
  ...['first', 'last'].flatMap((place) => Object.entries(both(`the Signature is the ${place} child`)).map(([sign, title]) => (
    either(title, { signature: { place } }, checks(...unbound, 'xml'), { twin: { sign } })))),
];

const reference = [
  ...knob('the Reference\'s URI is empty', { uri: '' }, checks('reference')),
  { name: 'the Reference\'s URI is empty and covers the whole document', twin: { sign: 'response' }, mutate: (xml, t) => t.again({ responseSignature: { uri: '' } }), expect: checks('reference') },
  ...twice('the Reference has no URI', (xml, t) => resigned(xml, t, (info) => find(info, 'Reference').removeAttribute('URI')), checks('reference', 'shape')),
  ...knob('the Reference\'s URI is an XPointer by id', (t) => ({ uri: `#xpointer(id('${idOf(t)}'))` }), checks('reference')),
  ...knob('the Reference\'s URI is the XPointer of the root', { uri: '#xpointer(/)' }, checks('reference')),
  ...knob('the Reference\'s URI is a URL', { uri: 'https://attacker.example/signed.xml' }, checks('reference')),
  ...knob('the Reference\'s URI is a file', { uri: 'file:///etc/hostname' }, checks('reference')),
  ...knob('the Reference\'s URI lacks its #', (t) => ({ uri: idOf(t) }), checks('reference')),
  ...knob('the Reference\'s URI is percent-encoded', (t) => ({ uri: `#%5F${idOf(t).slice(1)}` }), checks('reference')),
  ...knob('the Reference\'s URI has a blank behind it', (t) => ({ uri: `#${idOf(t)} ` }), checks('reference')),
  { name: 'the assertion\'s Reference points to the Response', mutate: (xml, t) => t.again({ signature: { uri: `#${t.o.responseId}` } }), expect: checks('reference', 'duplicate_id', 'shape') },
  { name: 'the Response\'s Reference points to the assertion', twin: { sign: 'response' }, mutate: (xml, t) => t.again({ signature: { uri: `#${t.o.assertionId}`, target: (doc) => find(doc, 'Assertion') } }), expect: checks('reference', 'unsigned', 'shape') },
  ...twice('two References, the second to the Response', (xml, t) => resigned(xml, t, (info) => {
    const copy = find(info, 'Reference').cloneNode(true);
    copy.setAttribute('URI', `#${t.o.responseId}`);
    info.appendChild(copy);
  }), checks('reference', 'shape')),
  ...twice('two equal References', (xml, t) => resigned(xml, t, (info) => info.appendChild(find(info, 'Reference').cloneNode(true))), checks('reference', 'shape')),
  ...twice('no Reference', (xml, t) => resigned(xml, t, (info) => remove(find(info, 'Reference'))), checks('reference', 'shape')),
  ...twice('a Manifest instead of the element', (xml, t) => resigned(xml, t, (info, doc) => {
    const manifest = fragment(doc, `<ds:Object xmlns:ds="${DS}"><ds:Manifest Id="_manifest"/></ds:Object>`);
    find(manifest, 'Manifest').appendChild(find(info, 'Reference').cloneNode(true));
    signatureOf(doc).appendChild(manifest);
    find(info, 'Reference').setAttribute('URI', '#_manifest');
  }), checks('reference', 'shape', 'digest')),
];

const xpath = `<ds:XPath xmlns:ds="${DS}">not(ancestor-or-self::ds:Signature)</ds:XPath>`;
const xslt = '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><xsl:copy-of select="document(\'https://attacker.example/\')"/></xsl:template></xsl:stylesheet>';
const refusedTransform = checks('transform', 'algorithm', 'shape');
const transforms = [
  ...knob('a third transform, XPath', transform(ENVELOPED, ['http://www.w3.org/TR/1999/REC-xpath-19991116', xpath], EXCLUSIVE), refusedTransform),
  ...knob('XPath in place of the enveloped signature', transform(['http://www.w3.org/TR/1999/REC-xpath-19991116', xpath], EXCLUSIVE), refusedTransform),
  ...knob('a third transform, XPath filter 2', transform(ENVELOPED, ['http://www.w3.org/2002/06/xmldsig-filter2', '<f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="intersect">/*/*</f:XPath>'], EXCLUSIVE), refusedTransform),
  ...knob('a third transform, XSLT', transform(ENVELOPED, EXCLUSIVE, ['http://www.w3.org/TR/1999/REC-xslt-19991116', xslt]), refusedTransform),
  ...knob('a third transform, base64', transform(ENVELOPED, EXCLUSIVE, `${DS}base64`), refusedTransform),
  ...knob('a transform nobody knows', transform(ENVELOPED, EXCLUSIVE, 'urn:example:transform'), refusedTransform),
  ...knob('the enveloped-signature transform twice', transform(ENVELOPED, ENVELOPED, EXCLUSIVE), refusedTransform),
  ...knob('exclusive canonicalisation twice', transform(ENVELOPED, EXCLUSIVE, EXCLUSIVE), refusedTransform),
  ...knob('canonicalisation before the enveloped-signature transform', transform(EXCLUSIVE, ENVELOPED), refusedTransform),
  ...knob('no canonicalisation among the transforms', transform(ENVELOPED), refusedTransform),
  ...knob('no enveloped-signature transform', transform(EXCLUSIVE), refusedTransform),
  ...knob('no transforms', transform(), refusedTransform),
  ...knob('the transform is inclusive canonicalisation', transform(ENVELOPED, INCLUSIVE), refusedTransform),
  ...knob('the transform is canonicalisation 1.1', transform(ENVELOPED, 'http://www.w3.org/2006/12/xml-c14n11'), refusedTransform),
  ...knob('the transform keeps comments', transform(ENVELOPED, `${EXCLUSIVE}WithComments`), refusedTransform),
  ...knob('SignedInfo is canonicalised with comments', { method: `${EXCLUSIVE}WithComments` }, refusedTransform),
  ...knob('SignedInfo is canonicalised inclusively', { method: INCLUSIVE }, refusedTransform),
  ...knob('SignedInfo\'s canonicalisation has no name', { method: '' }, refusedTransform),
  // OpenSAML writes a PrefixList wherever a value has an xsi:type, so it is part of plain exclusive canonicalisation.
  ...['assertion', 'response'].map((sign) => fine(`InclusiveNamespaces with a PrefixList (${sign})`, { signature: { prefixes: ['xs'] } }, { twin: { sign } })),
  fine('InclusiveNamespaces with prefixes in use', { signature: { prefixes: ['xs', 'saml'] } }),
  fine('InclusiveNamespaces with a prefix that is not declared', { signature: { prefixes: ['nowhere'] } }),
  { name: 'a PrefixList whose prefix is bound to something else after signing', twin: { signature: { prefixes: ['x'] }, assertionAttributes: ' xmlns:x="urn:one"' }, mutate: (xml) => swap(xml, 'urn:one', 'urn:two'), expect: checks(...broken) },
  ...knob('something else inside the canonicalising transform', transform(ENVELOPED, [EXCLUSIVE, '<x:Anything xmlns:x="urn:example:x"/>']), checks('transform', 'shape', 'xml')),
];

const weak = checks('algorithm');
const methods = [
  ...knob('SHA-1 digest', { digest: 'sha1' }, weak), ...knob('MD5 digest', { digest: 'md5' }, weak),
  ...knob('RSA with SHA-1', { algorithm: 'rsa-sha1' }, weak), ...knob('RSA with MD5', { algorithm: 'rsa-md5' }, weak),
  ...knob('RSA and digest with SHA-1', { algorithm: 'rsa-sha1', digest: 'sha1' }, weak),
  made('ECDSA with SHA-1', { signature: { algorithm: 'ecdsa-sha1', key: 'p256' } }, weak, { twin: { key: 'p256', algorithm: 'ecdsa-sha256' }, metadata: { signing: ['p256'] } }),
  // The verifier's public key is no secret; what it is keyed with differs between libraries.
  ...[['PEM certificate', (k) => k.certPem], ['DER certificate', (k) => k.cert], ['PEM public key', (k) => pem('PUBLIC KEY', k.publicKey.export({ type: 'spki', format: 'der' }))], ['DER public key', (k) => k.publicKey.export({ type: 'spki', format: 'der' })], ['empty secret', () => Buffer.alloc(0)]]
    .map(([what, secret]) => made(`HMAC keyed with the ${what}`, (t) => ({ signature: { algorithm: 'hmac-sha256', secret: secret(t.keys.idp) } }), weak)),
  { name: 'HMAC cut to no bits', mutate: (xml, t) => swap(swap(t.again({ signature: { algorithm: 'hmac-sha256', secret: 'x' } }), /(hmac-sha256")\/>/, '$1><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>'), /(<ds:SignatureValue>)[^<]*/, '$1'), expect: checks('algorithm', 'signature', 'shape') },
  { name: 'the signature method is RSA-PSS', mutate: (xml, t) => edit(xml, (doc) => {
    find(doc, 'SignatureMethod').setAttribute('Algorithm', 'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1');
    const value = crypto.sign('sha256', Buffer.from(canonical(find(doc, 'SignedInfo'))), { key: t.keys.idp.privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    find(doc, 'SignatureValue').textContent = value.toString('base64');
  }), expect: weak },
  ...twice('the signature method is unknown', (xml, t) => resigned(xml, t, (info) => find(info, 'SignatureMethod').setAttribute('Algorithm', 'urn:example:none')), weak),
  ...twice('the signature method is not named', (xml, t) => resigned(xml, t, (info) => find(info, 'SignatureMethod').removeAttribute('Algorithm')), checks('algorithm', 'shape')),
  ...twice('the digest method is unknown', (xml, t) => resigned(xml, t, (info) => find(info, 'DigestMethod').setAttribute('Algorithm', 'urn:example:none')), weak),
  { name: 'RSA key, ECDSA named', mutate: (xml, t) => resigned(xml, t, (info) => find(info, 'SignatureMethod').setAttribute('Algorithm', algorithms['ecdsa-sha256'].uri)), expect: checks('algorithm', 'signature') },
  { name: 'SHA-512 named, SHA-256 used', mutate: (xml, t) => resigned(xml, t, (info) => find(info, 'SignatureMethod').setAttribute('Algorithm', algorithms['rsa-sha512'].uri)), expect: checks('signature') },
  ...['256', '384', '512'].flatMap((n) => [
    fine(`RSA and digest with SHA-${n}`, {}, { twin: { algorithm: `rsa-sha${n}`, digest: `sha${n}` } }),
    fine(`ECDSA and digest with SHA-${n}`, {}, { twin: { algorithm: `ecdsa-sha${n}`, digest: `sha${n}`, key: `p${n === '512' ? '521' : n}` }, metadata: { signing: [`p${n === '512' ? '521' : n}`] } }),
  ]),
];

const p256 = { twin: { key: 'p256', algorithm: 'ecdsa-sha256' }, metadata: { signing: ['p256'] } };
const value = (fn) => (xml, t) => edit(xml, (doc) => {
  const e = find(doc, 'SignatureValue');
  e.textContent = fn(Buffer.from(e.textContent, 'base64'), e.textContent, t, doc);
});
const values = [
  ...twice('SignatureValue is empty', value(() => ''), checks('signature', 'shape', 'base64')),
  ...twice('SignatureValue is no base64', value((b, s) => `INVALID-${s.slice(8)}`), checks('signature', 'shape', 'base64')),
  ...twice('SignatureValue is one byte', value(() => 'AA=='), checks('signature')),
  ...twice('SignatureValue has a bit flipped', value((b) => { b[b.length - 1] ^= 1; return b.toString('base64'); }), checks('signature')),
  ...twice('SignatureValue has a byte too many', value((b) => Buffer.concat([b, Buffer.from([0])]).toString('base64')), checks('signature')),
  { name: 'an RSA signature of zeros', mutate: value((b) => Buffer.alloc(b.length).toString('base64')), expect: checks('signature') },
  { name: 'an ECDSA signature of zeros', ...p256, mutate: value((b) => Buffer.alloc(b.length).toString('base64')), expect: checks('signature') },
  { name: 'an ECDSA signature in DER', ...p256, mutate: value((b, s, t, doc) => crypto.sign('sha256', Buffer.from(canonical(find(doc, 'SignedInfo'))), t.keys.p256.privateKey).toString('base64')), expect: checks('signature') },
  ...twice('DigestValue is of something else', (xml, t) => resigned(xml, t, (info) => { find(info, 'DigestValue').textContent = crypto.createHash('sha256').update('else').digest('base64'); }), checks('digest', 'signature')),
  ...twice('DigestValue is replaced after signing', (xml) => edit(xml, (doc) => { find(doc, 'DigestValue').textContent = crypto.createHash('sha256').update('else').digest('base64'); }), checks('digest', 'signature')),
  ...twice('DigestValue is empty', (xml, t) => resigned(xml, t, (info) => { find(info, 'DigestValue').textContent = ''; }), checks('digest', 'signature', 'shape', 'base64')),
  ...twice('DigestValue is cut to its first 16 bytes', (xml, t) => resigned(xml, t, (info) => { const d = find(info, 'DigestValue'); d.textContent = Buffer.from(d.textContent, 'base64').subarray(0, 16).toString('base64'); }), checks('digest', 'signature')),
  fine('white space inside SignatureValue', {}, { mutate: value((b, s) => s.replace(/.{64}/g, '$&\n')) }),
  fine('white space around DigestValue', {}, { mutate: (xml, t) => resigned(xml, t, (info) => { const d = find(info, 'DigestValue'); d.textContent = `\n${d.textContent}\n`; }) }),
  fine('a Signature without a prefix', { signature: { prefix: '' } }),
];

/** The digest of the attacker's assertion, as CVE-2025-29774 and -29775 put it beside the signed one. */
const evilDigest = (doc) => crypto.createHash('sha256').update(canonical(corrupt(bare(find(doc, 'Assertion'))))).digest('base64');
function bare(node) {
  const copy = node.cloneNode(true);
  remove(child(copy, 'Signature'));
  return copy;
}
const doubled = [
  ...['before', 'behind'].flatMap((where) => [
    { name: `a second SignedInfo ${where} the signed one, with the digest of a changed assertion`, mutate: (xml) => edit(xml, (doc) => {
      const signed = find(doc, 'SignedInfo');
      const evil = signed.cloneNode(true);
      find(evil, 'DigestValue').textContent = evilDigest(doc);
      signed.parentNode.insertBefore(evil, where === 'before' ? signed : signed.nextSibling);
      corrupt(find(doc, 'Assertion'));
    }), expect: checks(...unbound) },
    { name: `a second DigestValue ${where} the signed one`, mutate: (xml) => edit(xml, (doc) => {
      const signed = find(doc, 'DigestValue');
      const evil = signed.cloneNode(true);
      evil.textContent = evilDigest(doc);
      signed.parentNode.insertBefore(evil, where === 'before' ? signed : null);
      corrupt(find(doc, 'Assertion'));
    }), expect: checks(...unbound) },
    { name: `a comment in DigestValue, ${where} the signed digest`, mutate: (xml) => {
      let digest;
      const changed = edit(xml, (doc) => { digest = evilDigest(doc); corrupt(find(doc, 'Assertion')); });
      return swap(changed, /(<ds:DigestValue>)([^<]*)/, where === 'before' ? `$1<!--${digest}-->$2` : `$1$2<!--${digest}-->`);
    }, expect: checks(...unbound, 'xml') },
    { name: `an element in DigestValue, ${where} the signed digest`, mutate: (xml) => edit(xml, (doc) => {
      const d = find(doc, 'DigestValue');
      const evil = fragment(doc, `<x xmlns="urn:example:x">${evilDigest(doc)}</x>`);
      d.insertBefore(evil, where === 'before' ? d.firstChild : null);
      corrupt(find(doc, 'Assertion'));
    }), expect: checks(...unbound) },
    { name: `a second SignatureValue ${where} the right one`, mutate: (xml, t) => edit(xml, (doc) => {
      const right = find(doc, 'SignatureValue');
      const evil = right.cloneNode(true);
      evil.textContent = crypto.sign('sha256', Buffer.from(canonical(find(doc, 'SignedInfo'))), t.keys.attacker.privateKey).toString('base64');
      right.parentNode.insertBefore(evil, where === 'before' ? right : right.nextSibling);
    }), expect: checks('shape', 'signature') },
  ]),
  ...['Transforms', 'DigestMethod', 'SignatureMethod', 'CanonicalizationMethod'].map((name) => (
    { name: `${name} twice`, mutate: (xml, t) => resigned(xml, t, (info) => { const e = find(info, name); e.parentNode.insertBefore(e.cloneNode(true), e); }), expect: checks('shape', 'transform', 'algorithm', 'reference') })),
  { name: 'SignedInfo hidden in an Object', mutate: (xml) => edit(xml, (doc) => {
    const object = fragment(doc, `<ds:Object xmlns:ds="${DS}"/>`);
    object.appendChild(find(doc, 'SignedInfo'));
    signatureOf(doc).appendChild(object);
  }), expect: checks(...unbound) },
  { name: 'DigestValue elsewhere in the document, as CVE-2024-45409', mutate: (xml) => edit(xml, (doc) => {
    const detail = fragment(doc, `<samlp:StatusDetail xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"><ds:DigestValue xmlns:ds="${DS}">${evilDigest(doc)}</ds:DigestValue></samlp:StatusDetail>`);
    find(doc, 'Status').appendChild(detail);
    corrupt(find(doc, 'Assertion'));
  }), expect: checks(...unbound, 'xml') },
  { name: 'a text beside the elements of SignedInfo', mutate: (xml, t) => resigned(xml, t, (info, doc) => info.appendChild(doc.createTextNode('text'))), expect: checks('shape', 'xml') },
  { name: 'an unknown element in Signature', mutate: (xml) => edit(xml, (doc) => { signatureOf(doc).appendChild(fragment(doc, '<x:More xmlns:x="urn:example:x"/>')); }), expect: checks('shape', 'xml') },
];

const keys = [
  ...knob('the attacker\'s key, its certificate in KeyInfo', { key: 'attacker', info: 'attacker' }, checks('signature')),
  ...knob('the attacker\'s key, the right certificate in KeyInfo', { key: 'attacker', info: 'idp' }, checks('signature')),
  ...knob('the attacker\'s key, no KeyInfo', { key: 'attacker', info: null }, checks('signature')),
  ...knob('the service provider\'s own key', { key: 'sp', info: 'sp' }, checks('signature')),
  made('the key of another tenant\'s identity provider', { key: 'other' }, checks('signature')),
  made('the entity ID and key of another identity provider', { key: 'other', issuer: 'https://other.example/saml' }, checks('issuer', 'signature')),
  made('the entity ID of another identity provider, the right key', { issuer: 'https://other.example/saml' }, checks('issuer')),
  ...knob('changed after signing', {}, checks(...broken), { mutate: (xml) => edit(xml, corrupt) }),
  { name: 'the attacker\'s KeyValue in KeyInfo', mutate: (xml, t) => {
    const { n, e } = t.keys.attacker.publicKey.export({ format: 'jwk' });
    const plain = (s) => Buffer.from(s, 'base64url').toString('base64');
    return swap(t.again({ signature: { key: 'attacker', info: 'attacker' } }), /<ds:X509Data>.*?<\/ds:X509Data>/, `<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>${plain(n)}</ds:Modulus><ds:Exponent>${plain(e)}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>`);
  }, expect: checks('signature', 'shape') },
  { name: 'KeyInfo fetched from a URL', mutate: (xml, t) => swap(t.again({ signature: { key: 'attacker', info: 'attacker' } }), /<ds:X509Data>.*?<\/ds:X509Data>/, '<ds:RetrievalMethod URI="http://127.0.0.1:9/key.xml"/>'), expect: checks('signature', 'shape') },
  ...['<ds:X509Data/>', '<ds:X509Data>text</ds:X509Data>', '', 'text', '<ds:X509Data><ds:X509Certificate/>text</ds:X509Data>'].map((inside) => (
    { name: `a KeyInfo that holds ${inside || 'nothing'}`, mutate: (xml) => swap(xml, /<ds:X509Data>.*?<\/ds:X509Data>/, inside), expect: checks('shape') })),
  fine('no KeyInfo', { signature: { info: null } }), fine('KeyInfo with a stranger\'s certificate around a right signature', { signature: { info: 'attacker' } }),
  fine('the second of two keys in the metadata', { key: 'next' }, { metadata: { signing: ['idp', 'next'] } }),
  fine('a key whose use the metadata leaves open', {}, { metadata: { use: null } }),
  made('a key that the metadata no longer has', {}, checks('signature'), { attackMetadata: { signing: ['next'] } }),
  made('a key that the metadata has for encryption only', {}, checks('signature'), { attackMetadata: { signing: ['next'], encryption: ['idp'] } }),
];

/** Signs with the honest key over what a failed canonicalisation leaves: nothing. */
const empty = crypto.createHash('sha256').update('').digest('base64');
const relative = (xml, t, signature) => t.again({ assertionAttributes: ' xmlns:x="1" x:y="z"', signature });
const canonicalisation = [
  { name: 'a relative namespace URI added after signing', mutate: (xml) => swap(xml, /<saml:Assertion /, '<saml:Assertion xmlns:x="1" x:y="z" '), expect: checks(...unbound, 'xml') },
  { name: 'a relative namespace URI, signed', mutate: (xml, t) => relative(xml, t, {}), expect: checks(...unbound, 'xml') },
  { name: 'canonicalisation fails and the digest is of nothing, as CVE-2025-66568', mutate: (xml, t) => relative(xml, t, { digestValue: empty }), expect: checks(...unbound, 'xml') },
  { name: 'canonicalisation of SignedInfo fails and the signature is over nothing', mutate: (xml, t) => edit(xml, (doc) => {
    corrupt(find(doc, 'Assertion'));
    const info = find(doc, 'SignedInfo');
    info.setAttributeNS('http://www.w3.org/2000/xmlns/', 'xmlns:x', '1');
    info.setAttributeNS('1', 'x:y', 'z');
    find(info, 'DigestValue').textContent = empty;
    find(doc, 'SignatureValue').textContent = crypto.sign('sha256', Buffer.alloc(0), t.keys.idp.privateKey).toString('base64');
  }), expect: checks(...unbound, 'xml') },
  { name: 'the digest is of nothing', mutate: (xml, t) => t.again({ signature: { digestValue: empty } }), expect: checks('digest', 'signature') },
  fine('an unused namespace declared on the Response after signing', {}, { mutate: (xml) => swap(xml, '<samlp:Response ', '<samlp:Response xmlns:unused="urn:example:unused" ') }),
  fine('an unprefixed assertion', {}, { mutate: (xml, t) => {
    const plain = assertionXml(t.o).replace(/(<\/?)saml:/g, '$1').replace('xmlns:saml=', 'xmlns=');
    const signed = t.sign(plain, t.o.assertionId);
    return edit(xml, (doc) => doc.documentElement.replaceChild(fragment(doc, signed), child(doc.documentElement, 'Assertion')));
  } }),
  fine('an assertion with another prefix', {}, { mutate: (xml, t) => {
    const plain = assertionXml(t.o).replace(/(<\/?)saml:/g, '$1s2:').replace('xmlns:saml=', 'xmlns:s2=');
    return edit(xml, (doc) => doc.documentElement.replaceChild(fragment(doc, t.sign(plain, t.o.assertionId)), child(doc.documentElement, 'Assertion')));
  } }),
  { name: 'the prefix saml is bound to another namespace inside the assertion', mutate: (xml) => swap(xml, '<saml:Subject>', '<saml:Subject xmlns:saml="urn:example:assertion">'), expect: checks(...unbound, 'xml') },
  { name: 'the prefix saml is bound to another namespace inside the assertion, signed', mutate: (xml, t) => t.sign(swap(t.again({ sign: 'none' }), '<saml:Subject>', '<saml:Subject xmlns:saml="urn:example:assertion">'), t.o.assertionId), expect: checks('shape', 'subject', 'subject_confirmation', 'xml') },
  { name: 'two prefixes for one namespace and one attribute twice', mutate: (xml) => swap(xml, '<saml:Assertion ', `<saml:Assertion xmlns:p="urn:x" xmlns:q="urn:x" p:a="1" q:a="2" `), expect: checks('xml') },
];

const spelling = (attribute) => ({
  name: `the assertion's ID is spelt ${attribute}`,
  mutate: (xml, t) => t.sign(swap(t.again({ sign: 'none' }), ` ID="${t.o.assertionId}"`, ` ${attribute}="${t.o.assertionId}"`), t.o.assertionId), expect: checks(...unbound, 'xml'),
});
const impostor = (attribute) => ({
  name: `a changed assertion before the signed one has the same ID as ${attribute}`,
  mutate: (xml, t) => edit(xml, (doc) => {
    const signed = find(doc, 'Assertion');
    const evil = corrupt(signed.cloneNode(true));
    evil.removeAttribute('ID');
    evil.setAttribute(attribute, t.o.assertionId);
    doc.documentElement.insertBefore(evil, signed);
  }), expect: checks(...unbound, 'xml'),
});
const ids = [
  made('the Response and the assertion have one ID', (t) => ({ responseId: t.o.assertionId }), checks('duplicate_id', 'reference', 'shape')),
  made('an inner element has the assertion\'s ID', (t) => ({ statusExtra: `<samlp:StatusDetail><x:Detail xmlns:x="urn:example:x" ID="${t.o.assertionId}"/></samlp:StatusDetail>` }), checks('duplicate_id', 'reference', 'shape')),
  ...['Id', 'id', 'xml:id'].map(spelling), ...['Id', 'id', 'xml:id'].map(impostor),
  { name: 'the assertion has no ID', mutate: (xml) => swap(xml, / ID="_a[^"]*"/, ''), expect: checks(...unbound, 'xml') },
  { name: 'the Response has no ID', mutate: (xml) => swap(xml, / ID="_r[^"]*"/, ''), expect: checks('shape', 'xml') },
  made('the assertion\'s ID is empty', { assertionId: '', signature: { uri: '#' }, sign: 'none' }, checks(...unbound, 'xml')),
  either('the assertion\'s ID has a quote, for a reader that pastes it into XPath', { assertionId: "_a' or '1'='1" }, checks(...unbound, 'xml')),
];

export const signature = [...placement, ...reference, ...transforms, ...methods, ...values, ...doubled, ...keys, ...canonicalisation, ...ids];
