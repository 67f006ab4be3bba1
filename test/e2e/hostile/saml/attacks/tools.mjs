// Owns what the attack tables are written with: edits of a document, the attacker's own content, and names of checks.
import { elements, parse, serialize, sign } from '../sign.mjs';

/** A regular expression over check names: any of these, e.g. checks('shape', 'reference'). */
export const checks = (...names) => new RegExp(`^saml\\.(${names.join('|')})$`);

// Which check speaks first is the implementation's choice where a document has more than one flaw.
/** The document is not one that is read at all: not well formed, or holds what is refused on sight. */
export const unread = ['xml', 'encoding', 'base64'];
/** The signature is not where and what it must be. */
export const unbound = ['shape', 'duplicate_id', 'reference', 'signature', 'digest', 'unsigned', 'transform'];
/** The signature is in its place and does not verify. */
export const broken = ['signature', 'digest'];

/** What the attacker wants to be read. */
export const wanted = { nameId: 'admin@corp.example', group: 'admins' };

/** The first element with this local name below a node, in document order. */
export const find = (node, name, from = 0) => [...elements(node)].filter((e) => e.localName === name)[from];
export const child = (node, name) => Array.from(node.childNodes).find((n) => n.nodeType === 1 && n.localName === name);
export const children = (node, name) => Array.from(node.childNodes).filter((n) => n.nodeType === 1 && n.localName === name);
export const fragment = (doc, xml) => doc.importNode(parse(xml).documentElement, true);
export const remove = (node) => node.parentNode.removeChild(node);

/** Makes an assertion, or every assertion below a node, say what the attacker wants. */
export function corrupt(node) {
  for (const e of elements(node)) {
    if (e.localName === 'NameID') e.textContent = wanted.nameId;
    if (e.localName === 'AttributeValue' && e.textContent === 'data') e.textContent = wanted.group;
  }
  return node;
}

/** Edits a document as a tree. `fn` gets the document; what it returns is not looked at. */
export function edit(xml, fn) {
  const doc = parse(xml);
  fn(doc);
  return serialize(doc);
}

/** Edits a document as text, and fails where there was nothing to edit: an attack that changes nothing tests nothing. */
export function swap(xml, from, to) {
  const out = xml.replace(from, to);
  if (out === xml) throw new Error(`nothing to replace for ${from}`);
  return out;
}

/** What a mutation gets besides the twin's text. */
export class Tools {
  constructor(forge, options) {
    this.forge = forge;
    this.o = options;
    this.keys = forge.keys;
  }
  /** The twin made again with other options, signed by the same honest key. */
  again(changes) { return this.forge.response({ ...this.o, ...changes }); }
  /** A second valid response of the same identity provider, for somebody else. */
  second(changes = {}) { return this.forge.response({ ...this.o, responseId: '_r-second', assertionId: '_a-second', nameId: 'sam@corp.example', ...changes }); }
  sign(xml, id, changes = {}) { return sign(xml, id, { key: this.keys.idp, ...changes }); }
  /** Puts text behind the XML declaration. */
  prolog(xml, text) { return this.o.declaration + text + xml.slice(this.o.declaration.length); }
}

/** An attack that is the twin made anew with some options changed. */
export const made = (name, change, expect, more = {}) => ({ name, mutate: (xml, t) => t.again(typeof change === 'function' ? change(t) : change), expect, ...more });
/** A variant that a right service provider accepts. */
export const fine = (name, change, more = {}) => ({ ...made(name, change, null), accept: true, ...more });
/** A variant that the standard lets a service provider accept or refuse; if accepted, the identity must be the twin's. */
export const either = (name, change, expect, more = {}) => ({ ...made(name, change, expect), either: true, ...more });
