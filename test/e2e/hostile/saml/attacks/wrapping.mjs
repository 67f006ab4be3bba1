// Owns signature wrapping: the signed element stays somewhere in the document, and another takes its place.
import { checks, child, corrupt, edit, find, fragment, remove, unbound } from './tools.mjs';
import { parse, serialize } from '../sign.mjs';
import { SAML, SAMLP, assertionXml, responseXml } from '../forge.mjs';

const refused = checks(...unbound, 'xml', 'advice');
const assertionOf = (doc) => child(doc.documentElement, 'Assertion');

/** A copy without the signature of its own. */
function bare(node) {
  const copy = node.cloneNode(true);
  const signature = child(copy, 'Signature');
  if (signature) copy.removeChild(signature);
  return copy;
}
// An implementation that goes by IDs is fooled by another one, by the same one twice, or by none at all.
const naming = { 'new ID': (e) => e.setAttribute('ID', '_evil'), 'same ID': () => {}, 'no ID': (e) => e.removeAttribute('ID') };

// XSW1 to XSW8 are the wrappings of Somorovsky et al., "On Breaking SAML" (USENIX Security 2012), as test tools number them;
// 9 and 10 hide the signed element in the other two places that a schema leaves open.
const wraps = {
  XSW1: ['response', 'the signed Response inside its own Signature, an unsigned one around it', (doc, name) => {
    const root = doc.documentElement;
    const original = bare(root);
    find(root, 'Signature').appendChild(original);
    corrupt(assertionOf(doc));
    name(root);
  }],
  XSW2: ['response', 'the signed Response before its Signature, an unsigned one around both', (doc, name) => {
    const root = doc.documentElement;
    const original = bare(root);
    root.insertBefore(original, child(root, 'Signature'));
    corrupt(assertionOf(doc));
    name(root);
  }],
  XSW3: ['assertion', 'an unsigned Assertion before the signed one', (doc, name) => {
    const signed = assertionOf(doc);
    const evil = corrupt(bare(signed));
    name(evil);
    doc.documentElement.insertBefore(evil, signed);
  }],
  XSW4: ['assertion', 'the signed Assertion inside an unsigned one', (doc, name) => {
    const signed = assertionOf(doc);
    const evil = corrupt(bare(signed));
    name(evil);
    doc.documentElement.insertBefore(evil, signed);
    evil.appendChild(signed);
  }],
  XSW5: ['assertion', 'an Assertion with the signature of another that follows it', (doc, name) => {
    const evil = assertionOf(doc);
    doc.documentElement.appendChild(bare(evil));
    corrupt(evil);
    name(evil);
  }],
  XSW6: ['assertion', 'an Assertion with the signature of another that lies inside the Signature', (doc, name) => {
    const evil = assertionOf(doc);
    const original = bare(evil);
    corrupt(evil);
    child(evil, 'Signature').appendChild(original);
    name(evil);
  }],
  XSW7: ['assertion', 'an unsigned Assertion in Extensions, before the signed one', (doc, name) => {
    const signed = assertionOf(doc);
    const extensions = fragment(doc, `<samlp:Extensions xmlns:samlp="${SAMLP}"/>`);
    const evil = corrupt(bare(signed));
    name(evil);
    extensions.appendChild(evil);
    doc.documentElement.insertBefore(extensions, signed);
  }],
  XSW8: ['assertion', 'an Assertion whose Signature holds the signed one in an Object', (doc, name) => {
    const evil = assertionOf(doc);
    const original = bare(evil);
    corrupt(evil);
    const object = fragment(doc, '<ds:Object xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>');
    object.appendChild(original);
    child(evil, 'Signature').appendChild(object);
    name(evil);
  }],
  XSW9: ['assertion', 'the signed Assertion in StatusDetail, an unsigned one in its place', (doc, name) => {
    const signed = assertionOf(doc);
    const evil = corrupt(bare(signed));
    name(evil);
    doc.documentElement.insertBefore(evil, signed);
    const detail = fragment(doc, `<samlp:StatusDetail xmlns:samlp="${SAMLP}"/>`);
    detail.appendChild(signed);
    child(doc.documentElement, 'Status').appendChild(detail);
  }],
  XSW10: ['response', 'the whole signed Response in the Extensions of an unsigned one', (doc, name) => {
    const root = doc.documentElement;
    const original = root.cloneNode(true);
    remove(child(root, 'Signature'));
    corrupt(assertionOf(doc));
    name(root);
    const extensions = fragment(doc, `<samlp:Extensions xmlns:samlp="${SAMLP}"/>`);
    extensions.appendChild(original);
    root.insertBefore(extensions, child(root, 'Status'));
  }],
};

const classic = Object.entries(wraps).flatMap(([name, [sign, what, wrap]]) => Object.entries(naming).map(([id, rename]) => (
  { name: `${name}, ${id}: ${what}`, twin: { sign }, mutate: (xml) => edit(xml, (doc) => wrap(doc, rename)), expect: refused })));

/** The attacker's own assertion, unsigned. */
const own = (t, changes = {}) => assertionXml({ ...t.o, assertionId: '_evil', nameId: 'admin@corp.example', ...changes });
const beside = (name, evil, place = 'before') => ({
  name, mutate: (xml, t) => edit(xml, (doc) => {
    const node = fragment(doc, evil(t));
    doc.documentElement.insertBefore(node, place === 'before' ? assertionOf(doc) : null);
  }), expect: checks(...unbound, 'xml'),
});

export const wrapping = [
  ...classic,
  ...classic.filter((a) => a.twin.sign === 'assertion' && a.name.includes('new ID')).map((a) => ({ ...a, name: `${a.name} (response signed before)`, twin: { sign: 'both' } })),
  beside('two assertions, unsigned one first', (t) => own(t)),
  beside('two assertions, unsigned one last', (t) => own(t), 'after'),
  { name: 'two assertions, both signed', mutate: (xml, t) => edit(xml, (doc) => {
    doc.documentElement.appendChild(doc.importNode(assertionOf(parse(t.second())), true));
  }), expect: checks('shape') },
  { name: 'an assertion and an encrypted one, both signed', mutate: (xml, t) => edit(xml, (doc) => {
    const other = parse(t.second({ encrypt: {} }));
    doc.documentElement.appendChild(doc.importNode(child(other.documentElement, 'EncryptedAssertion'), true));
  }), expect: checks('shape') },
  { name: 'two encrypted assertions, both signed', twin: { encrypt: {} }, mutate: (xml, t) => edit(xml, (doc) => {
    const other = parse(t.second({ encrypt: {} }));
    doc.documentElement.appendChild(doc.importNode(child(other.documentElement, 'EncryptedAssertion'), true));
  }), expect: checks('shape') },
  beside('an Assertion in no namespace beside the signed one', (t) => own(t).replace(/saml:/g, '').replace(/ xmlns:saml="[^"]*"/, '')),
  beside('an Assertion in a foreign namespace beside the signed one', (t) => own(t).replace(SAML, 'urn:example:assertion')),
  beside('an Assertion of SAML 1.1 beside the signed one', (t) => own(t).replace(SAML, 'urn:oasis:names:tc:SAML:1.0:assertion')),
  beside('an unprefixed Assertion beside the signed one', (t) => own(t).replace(/(<\/?)saml:/g, '$1').replace('xmlns:saml=', 'xmlns=')),
  { name: 'an Assertion whose prefix is bound to another namespace, in place of the signed one', mutate: (xml, t) => edit(xml, (doc) => {
    const signed = assertionOf(doc);
    doc.documentElement.replaceChild(fragment(doc, own(t).replace(SAML, 'urn:example:assertion')), signed);
  }), expect: checks(...unbound, 'xml') },
  { name: 'an Assertion inside an unknown element of the Response', mutate: (xml) => edit(xml, (doc) => {
    const holder = fragment(doc, `<x:Holder xmlns:x="urn:example:holder"/>`);
    const signed = assertionOf(doc);
    doc.documentElement.replaceChild(holder, signed);
    holder.appendChild(signed);
  }), expect: checks('shape', 'xml') },
  { name: 'an assertion in Advice, inside the signature', twin: {}, mutate: (xml, t) => t.again({ advice: own(t) }), expect: checks('advice', 'shape') },
  { name: 'an assertion in Advice, inside the Response\'s signature', twin: { sign: 'response' }, mutate: (xml, t) => t.again({ advice: own(t) }), expect: checks('advice', 'shape') },
  { name: 'an encrypted assertion in Advice', mutate: (xml, t) => t.again({ advice: serialize(child(parse(t.second({ encrypt: {} })).documentElement, 'EncryptedAssertion')) }), expect: checks('advice', 'shape') },
  { name: 'a signed assertion in Extensions and none in its place', mutate: (xml) => edit(xml, (doc) => {
    const extensions = fragment(doc, `<samlp:Extensions xmlns:samlp="${SAMLP}"/>`);
    extensions.appendChild(assertionOf(doc));
    doc.documentElement.insertBefore(extensions, child(doc.documentElement, 'Status'));
  }), expect: checks('shape', 'xml') },
  { name: 'an Assertion in the Object of a Signature that verifies', mutate: (xml, t) => edit(xml, (doc) => {
    const object = fragment(doc, `<ds:Object xmlns:ds="http://www.w3.org/2000/09/xmldsig#">${own(t)}</ds:Object>`);
    child(assertionOf(doc), 'Signature').appendChild(object);
  }), expect: checks(...unbound, 'xml') },
  { name: 'no assertion at all', twin: { sign: 'response' }, mutate: (xml, t) => t.sign(responseXml(t.o, ''), t.o.responseId), expect: checks('shape') },
  { name: 'the Response repeated inside itself', twin: { sign: 'both' }, mutate: (xml) => edit(xml, (doc) => {
    doc.documentElement.appendChild(doc.documentElement.cloneNode(true));
  }), expect: checks(...unbound, 'xml') },
  { name: 'the assertion is the document', mutate: (xml) => serialize(assertionOf(parse(xml))), expect: checks('shape', 'xml') },
  { name: 'a LogoutResponse instead of a Response', twin: { sign: 'response' }, mutate: (xml, t) => t.sign(responseXml(t.o, '').replace(/samlp:Response/g, 'samlp:LogoutResponse'), t.o.responseId), expect: checks('shape') },
  { name: 'a Response of the SAML 1.1 namespace', mutate: (xml) => xml.replaceAll(SAMLP, 'urn:oasis:names:tc:SAML:1.0:protocol'), expect: checks('shape', 'xml', 'version') },
  { name: 'the Response inside a SOAP envelope', mutate: (xml, t) => t.prolog(t.o.declaration, `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>${xml.slice(t.o.declaration.length)}</e:Body></e:Envelope>`), expect: checks('shape') },
  { name: 'an element whose name differs in case only', mutate: (xml, t) => edit(xml, (doc) => {
    doc.documentElement.insertBefore(fragment(doc, own(t).replace(/saml:Assertion/g, 'saml:assertion')), assertionOf(doc));
  }), expect: checks('shape', 'xml') },
  { name: 'the signature of another valid response', twin: { sign: 'both' }, mutate: (xml, t) => edit(xml, (doc) => {
    const other = parse(t.second({ sign: 'both' }));
    const mine = assertionOf(doc);
    mine.replaceChild(doc.importNode(child(assertionOf(other), 'Signature'), true), child(mine, 'Signature'));
  }), expect: checks(...unbound) },
  { name: 'the assertion of another valid response under the Response\'s signature', twin: { sign: 'response' }, mutate: (xml, t) => edit(xml, (doc) => {
    const other = parse(t.second({ sign: 'response' }));
    doc.documentElement.replaceChild(doc.importNode(assertionOf(other), true), assertionOf(doc));
  }), expect: checks('digest', 'signature') },
  { name: 'two Signatures on the assertion, the good one first', mutate: (xml) => edit(xml, (doc) => {
    const signature = child(assertionOf(doc), 'Signature');
    assertionOf(doc).insertBefore(signature.cloneNode(true), signature.nextSibling);
  }), expect: checks(...unbound) },
  { name: 'two Signatures on the Response, one of the attacker', twin: { sign: 'response' }, mutate: (xml, t) => t.sign(xml, t.o.responseId, { key: t.keys.attacker }), expect: checks(...unbound) },
  { name: 'the Response is signed by the attacker and the assertion by the identity provider', mutate: (xml, t) => t.sign(xml, t.o.responseId, { key: t.keys.attacker }), expect: checks(...unbound) },
  { name: 'the assertion is signed by the attacker inside a Response of the identity provider', twin: { sign: 'response' }, mutate: (xml, t) => t.again({ sign: 'both', assertionSignature: { key: 'attacker' } }), expect: checks(...unbound) },
  { name: 'a foreign Signature element somewhere in the assertion', mutate: (xml, t) => edit(t.again({}), (doc) => {
    const signature = child(assertionOf(doc), 'Signature');
    find(assertionOf(doc), 'Subject').appendChild(signature.cloneNode(true));
  }), expect: checks(...unbound, 'xml') },
];
