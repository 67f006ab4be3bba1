// Owns XML Signature as an identity provider makes it, with a knob for every part that an attack turns.
import crypto from 'node:crypto';
import { DOMParser, XMLSerializer } from '@xmldom/xmldom';
import { canonical } from './c14n.mjs';

export const DS = 'http://www.w3.org/2000/09/xmldsig#';
export const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#';
export const INCLUSIVE = 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315';
export const ENVELOPED = `${DS}enveloped-signature`;
const MORE = 'http://www.w3.org/2001/04/xmldsig-more#';
const XENC = 'http://www.w3.org/2001/04/xmlenc#';

export const algorithms = {
  'rsa-sha1': { uri: `${DS}rsa-sha1`, hash: 'sha1' },
  'rsa-md5': { uri: `${MORE}rsa-md5`, hash: 'md5' },
  'ecdsa-sha1': { uri: `${MORE}ecdsa-sha1`, hash: 'sha1' },
  ...Object.fromEntries(['256', '384', '512'].flatMap((n) => [
    [`rsa-sha${n}`, { uri: `${MORE}rsa-sha${n}`, hash: `sha${n}` }],
    [`ecdsa-sha${n}`, { uri: `${MORE}ecdsa-sha${n}`, hash: `sha${n}` }],
    [`hmac-sha${n}`, { uri: `${MORE}hmac-sha${n}`, hash: `sha${n}` }],
  ])),
};
export const digests = { sha1: `${DS}sha1`, md5: `${MORE}md5`, sha256: `${XENC}sha256`, sha384: `${MORE}sha384`, sha512: `${XENC}sha512` };

export const parse = (xml) => new DOMParser({ onError: (level, message) => { if (level !== 'warning') throw new Error(message); } }).parseFromString(xml, 'text/xml');
/** A carriage return in the tree came from a reference, and goes back into one: a parser would read it as a line feed. */
export const serialize = (node) => new XMLSerializer().serializeToString(node).replace(/\r/g, '&#13;');

/** Every element below a node, itself included, in document order. */
export function* elements(node) {
  if (node.nodeType === 1) yield node;
  for (let c = node.firstChild; c; c = c.nextSibling) yield* elements(c);
}
export const byId = (doc, id) => [...elements(doc)].find((e) => ['ID', 'Id', 'id', 'xml:id'].some((a) => e.getAttribute(a) === id));

/** The bytes under a signature: of a private key, or of a shared secret where the algorithm is an HMAC. */
export function signBytes(algorithm, key, bytes) {
  const { hash } = algorithms[algorithm];
  if (algorithm.startsWith('hmac')) return crypto.createHmac(hash, key).update(bytes).digest();
  return crypto.sign(hash, Buffer.from(bytes), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
}

/** KeyInfo with a certificate, or none. */
export const keyInfo = (key) => (key ? `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>${key.cert.toString('base64')}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` : '');

/**
 * Signs the element with this ID and gives the document back with the signature after its Issuer.
 * @param o.uri what Reference points to, `#ID` unless told
 * @param o.target the element whose bytes are digested, where that is not the one with the ID
 * @param o.transforms [algorithm, inner XML] pairs
 * @param o.prefixes PrefixList of both canonicalisations
 * @param o.place 'issuer' (behind the element's Issuer), 'first' or 'last'
 * @param o.edit changes the Signature's text before SignedInfo is signed
 */
export function sign(xml, id, o = {}) {
  const {
    key, algorithm = 'rsa-sha256', digest = 'sha256', uri = `#${id}`, info = key, place = 'issuer', prefixes = [],
    method = EXCLUSIVE, comments = false, digestValue, signatureValue, extraReference = '', edit = (s) => s, prefix = 'ds',
    hash, list = prefixes.length ? `<ec:InclusiveNamespaces xmlns:ec="${EXCLUSIVE}" PrefixList="${prefixes.join(' ')}"/>` : '',
    transforms = [[ENVELOPED, ''], [EXCLUSIVE, list]],
  } = o;
  const doc = parse(xml);
  const parent = byId(doc, id);
  if (!parent) throw new Error(`no element has the ID ${id}`);
  const exclusive = !transforms.some(([t]) => t.startsWith(INCLUSIVE));
  const bytes = canonical(o.target ? o.target(doc) : parent, { exclusive, comments, prefixes });
  const sum = digestValue ?? crypto.createHash(hash ?? digest).update(bytes).digest('base64');
  const steps = transforms.map(([t, inner]) => `<ds:Transform Algorithm="${t}">${inner}</ds:Transform>`).join('');
  let text = `<ds:Signature xmlns:ds="${DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="${method}">${list}</ds:CanonicalizationMethod>`
    + `<ds:SignatureMethod Algorithm="${algorithms[algorithm].uri}"/><ds:Reference URI="${uri}">${steps ? `<ds:Transforms>${steps}</ds:Transforms>` : ''}`
    + `<ds:DigestMethod Algorithm="${digests[digest]}"/><ds:DigestValue>${sum}</ds:DigestValue></ds:Reference>${extraReference}</ds:SignedInfo>`
    + `<ds:SignatureValue>AA==</ds:SignatureValue>${keyInfo(info)}</ds:Signature>`;
  if (prefix === '') text = text.replace(/xmlns:ds=/g, 'xmlns=').replace(/(<\/?)ds:/g, '$1');
  const signature = doc.importNode(parse(edit(text)).documentElement, true);
  const issuer = Array.from(parent.childNodes).find((n) => n.nodeType === 1 && n.localName === 'Issuer');
  const before = { issuer: issuer?.nextSibling ?? null, first: parent.firstChild, last: null }[place];
  parent.insertBefore(signature, before);
  const signedInfo = [...elements(signature)].find((e) => e.localName === 'SignedInfo');
  const value = [...elements(signature)].find((e) => e.localName === 'SignatureValue');
  const signed = canonical(signedInfo, { exclusive: !method.startsWith(INCLUSIVE), comments: method.endsWith('omments'), prefixes });
  value.textContent = signatureValue ?? signBytes(algorithm, o.secret ?? key, signed).toString('base64');
  return serialize(doc);
}
