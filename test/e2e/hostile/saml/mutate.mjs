// Owns random changes of signed responses: bytes, nodes, attributes, namespaces, pieces of two responses, attacks on top.
import { parse, serialize, elements } from './sign.mjs';

/** A small generator (mulberry32), so that a case is made again from its number. */
export class Random {
  constructor(seed, stream = 0) { this.state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)) >>> 0; }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(n) { return Math.floor(this.next() * n); }
  pick(list) { return list[this.below(list.length)]; }
  bytes(n) { return Buffer.from(Array.from({ length: n }, () => this.below(256))); }
}

const names = {
  saml: ['Assertion', 'EncryptedAssertion', 'Issuer', 'Subject', 'NameID', 'Conditions', 'Advice', 'AuthnStatement', 'AttributeStatement', 'Attribute', 'AttributeValue', 'Audience', 'AudienceRestriction', 'SubjectConfirmation', 'SubjectConfirmationData'],
  samlp: ['Response', 'Status', 'StatusCode', 'StatusDetail', 'Extensions'],
  ds: ['Signature', 'SignedInfo', 'Reference', 'Transforms', 'Transform', 'DigestValue', 'DigestMethod', 'SignatureValue', 'KeyInfo', 'Object', 'X509Data'],
};
const uris = {
  saml: 'urn:oasis:names:tc:SAML:2.0:assertion', samlp: 'urn:oasis:names:tc:SAML:2.0:protocol', ds: 'http://www.w3.org/2000/09/xmldsig#',
};
const attributes = ['ID', 'Id', 'id', 'xml:id', 'URI', 'Algorithm', 'Version', 'Destination', 'InResponseTo', 'Recipient', 'NotOnOrAfter', 'NotBefore', 'Method', 'Value', 'Name', 'Format', 'xml:space', 'PrefixList', 'IssueInstant'];
const morsels = ['<!---->', '<!-- x -->', '<?x y?>', '&#0;', '&#13;', '&amp;', '&lt;', '&x;', '<![CDATA[', ']]>', '<!DOCTYPE x>', '\0', '\r', '\t', ' ', '\n', '\u00a0', '\ufeff', '"', "'", '<', '>', '</', '/>', '=', ' xmlns=""', ' xmlns:saml="urn:x"', ' xmlns:ds="urn:x"', ' ID="_x"', 'admin', '-->', '<x/>', '<x>', '</x>'];
const transforms = ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', 'http://www.w3.org/2001/10/xml-exc-c14n#', 'http://www.w3.org/2001/10/xml-exc-c14n#WithComments', 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315', 'http://www.w3.org/2000/09/xmldsig#base64', 'http://www.w3.org/2000/09/xmldsig#sha1', 'http://www.w3.org/2001/04/xmlenc#sha256', 'http://www.w3.org/2000/09/xmldsig#hmac-sha1', ''];

const all = (doc) => [...elements(doc.documentElement)];
/** An element, those near the signature and the subject more often than those in it. */
function some(doc, r, from = 0) {
  const list = all(doc).slice(from);
  const key = list.filter((e) => ['Response', 'Assertion', 'Signature', 'SignedInfo', 'Reference', 'Subject', 'NameID', 'Conditions', 'EncryptedAssertion'].includes(e.localName));
  return list.length ? r.pick(key.length && r.next() < 0.5 ? key : list) : null;
}
const inside = (node, other) => { for (let n = other; n; n = n.parentNode) if (n === node) return true; return false; };
/** Puts a node somewhere below another, at any place among its children. */
function place(target, node, r) {
  const spots = [null, ...Array.from(target.childNodes)];
  target.insertBefore(node, r.pick(spots));
}

const onTree = {
  duplicate: (doc, r) => { const e = some(doc, r, 1); place(r.next() < 0.5 ? e.parentNode : some(doc, r), e.cloneNode(true), r); },
  move: (doc, r) => { const e = some(doc, r, 1); const to = some(doc, r); if (!inside(e, to)) place(to, e, r); },
  remove: (doc, r) => { const e = some(doc, r, 1); e.parentNode.removeChild(e); },
  exchange: (doc, r) => {
    const [a, b] = [some(doc, r, 1), some(doc, r, 1)];
    if (inside(a, b) || inside(b, a)) return;
    const mark = doc.createElement('mark');
    a.parentNode.replaceChild(mark, a);
    b.parentNode.replaceChild(a, b);
    mark.parentNode.replaceChild(b, mark);
  },
  wrap: (doc, r) => {
    const e = some(doc, r, 1);
    const space = r.pick(Object.keys(uris));
    const holder = doc.createElementNS(uris[space], `${space}:${r.pick(names[space])}`);
    e.parentNode.replaceChild(holder, e);
    holder.appendChild(e);
  },
  unwrap: (doc, r) => { const e = some(doc, r, 1); while (e.firstChild) e.parentNode.insertBefore(e.firstChild, e); e.parentNode.removeChild(e); },
  rename: (doc, r) => {
    const e = some(doc, r, 1);
    const space = r.pick(Object.keys(uris));
    const other = doc.createElementNS(r.next() < 0.8 ? uris[space] : 'urn:x', `${space}:${r.pick(names[space])}`);
    for (const a of Array.from(e.attributes)) other.setAttributeNS(a.namespaceURI, a.nodeName, a.value);
    while (e.firstChild) other.appendChild(e.firstChild);
    e.parentNode.replaceChild(other, e);
  },
  setAttribute: (doc, r) => {
    const values = all(doc).flatMap((e) => Array.from(e.attributes).map((a) => a.value));
    const name = r.pick(attributes);
    const value = r.pick([r.pick(values), r.pick(transforms), '', '2.0', `#${r.pick(values)}`, '2030-01-01T00:00:00Z']);
    if (name.startsWith('xml:')) some(doc, r).setAttributeNS('http://www.w3.org/XML/1998/namespace', name, value);
    else some(doc, r).setAttribute(name, value);
  },
  copyId: (doc, r) => { const ids = all(doc).map((e) => e.getAttribute('ID')).filter(Boolean); if (ids.length) some(doc, r).setAttribute(r.pick(['ID', 'Id', 'id']), r.pick(ids)); },
  removeAttribute: (doc, r) => { const e = some(doc, r); const a = Array.from(e.attributes); if (a.length) e.removeAttributeNode(r.pick(a)); },
  algorithm: (doc, r) => { const list = all(doc).filter((e) => e.hasAttribute('Algorithm')); if (list.length) r.pick(list).setAttribute('Algorithm', r.pick(transforms)); },
  declare: (doc, r) => { some(doc, r).setAttributeNS('http://www.w3.org/2000/xmlns/', r.pick(['xmlns', 'xmlns:saml', 'xmlns:samlp', 'xmlns:ds', 'xmlns:x', 'xmlns:xs', 'xmlns:xsi']), r.pick(['urn:x', 'relative', ...Object.values(uris)])); },
  text: (doc, r) => { const list = all(doc).filter((e) => e.firstChild?.nodeType === 3); if (list.length) { const e = r.pick(list); e.textContent = r.pick(['admin@corp.example', '', ' ', e.textContent + e.textContent, r.pick(list).textContent, ` ${e.textContent} `]); } },
  comment: (doc, r) => place(some(doc, r), doc.createComment('x'), r),
  blank: (doc, r) => place(some(doc, r), doc.createTextNode(r.pick([' ', '\n', '\t', '  \n'])), r),
  splitText: (doc, r) => { const list = all(doc).filter((e) => e.firstChild?.nodeType === 3 && e.firstChild.data.length > 1); if (list.length) { const t = r.pick(list).firstChild; t.parentNode.insertBefore(r.pick([doc.createComment('x'), doc.createCDATASection('x'), doc.createElement('x')]), t.splitText(1 + r.below(t.data.length - 1))); } },
  splice: (doc, r, pool) => {
    const other = parse(r.pick(pool).xml);
    const e = some(doc, r, 1);
    const twins = all(other).filter((o) => o.localName === e.localName);
    const from = twins.length && r.next() < 0.7 ? r.pick(twins) : some(other, r);
    const node = doc.importNode(from, true);
    if (r.next() < 0.6) e.parentNode.replaceChild(node, e);
    else place(some(doc, r), node, r);
  },
};

const onText = {
  flip: (b, r) => { const i = r.below(b.length); b[i] ^= 1 << r.below(8); return b; },
  cut: (b, r) => { const i = r.below(b.length); return Buffer.concat([b.subarray(0, i), b.subarray(i + 1 + r.below(r.pick([1, 8, 200])))]); },
  repeat: (b, r) => { const i = r.below(b.length); const n = 1 + r.below(r.pick([1, 8, 200])); return Buffer.concat([b.subarray(0, i + n), b.subarray(i)]); },
  morsel: (b, r) => { const i = r.below(b.length + 1); return Buffer.concat([b.subarray(0, i), Buffer.from(r.pick(morsels)), b.subarray(i)]); },
  // A morsel beside a bracket is where a parser changes its mind.
  atTag: (b, r) => { const at = [...b.keys()].filter((i) => b[i] === 0x3c || b[i] === 0x3e); if (!at.length) return b; const i = r.pick(at) + r.below(2); return Buffer.concat([b.subarray(0, i), Buffer.from(r.pick(morsels)), b.subarray(i)]); },
  quote: (b) => Buffer.from(b.toString().replace(/="([^"']*)"/, "='$1'")),
  emptyTag: (b) => Buffer.from(b.toString().replace(/<([\w:]+)([^<>]*)\/>/, '<$1$2></$1>')),
};

/** One random mutant: {xml, from, steps}. `pool` has the valid responses, `attacked` the attack table's documents. */
export function mutant(r, pool, attacked) {
  const start = attacked.length && r.next() < 0.2 ? r.pick(attacked) : r.pick(pool);
  const steps = [];
  let bytes = Buffer.from(start.xml);
  // An attack is also tried as it stands, a valid response never.
  const count = (start.valid ? 1 : 0) + r.below(r.pick([1, 2, 4]));
  for (let i = 0; i < count; i += 1) {
    if (r.next() < 0.7) {
      const name = r.pick(Object.keys(onTree));
      try {
        const doc = parse(bytes.toString());
        onTree[name](doc, r, pool);
        const xml = serialize(doc);
        bytes = Buffer.from(xml);
        steps.push(name);
      } catch { steps.push(`(${name})`); }  // a document that broke before, or a place that cannot take the node
    } else {
      const name = r.pick(Object.keys(onText));
      bytes = onText[name](bytes, r);
      steps.push(name);
    }
  }
  return { xml: bytes, from: start.name, honest: start.valid === true, steps };
}
