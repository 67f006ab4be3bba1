// Owns the canonical forms of XML that signatures are made over: inclusive and exclusive, with and without comments.
// Written here and not taken from a library, so that the forger shares no code with the implementations it is compared with.
const XMLNS = 'http://www.w3.org/2000/xmlns/';
const XML = 'http://www.w3.org/XML/1998/namespace';

const text = (s) => s.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\r/g, '&#xD;');
const value = (s) => s.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;').replace(/\t/g, '&#x9;').replace(/\n/g, '&#xA;').replace(/\r/g, '&#xD;');
const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The namespaces in scope at an element, prefix -> URI, nearest declaration first; '' is the default namespace. */
export function inScope(element) {
  const found = new Map();
  for (let e = element; e && e.nodeType === 1; e = e.parentNode) {
    for (const a of Array.from(e.attributes)) {
      if (a.namespaceURI !== XMLNS) continue;
      const prefix = a.prefix ? a.localName : '';
      if (!found.has(prefix)) found.set(prefix, a.value);
    }
  }
  if (found.get('') === '') found.delete('');
  return found;
}

/**
 * The canonical form of a subtree.
 * @param without nodes left out, as the enveloped-signature transform asks
 * @param prefixes InclusiveNamespaces PrefixList of exclusive canonicalisation, `#default` for the default namespace
 */
export function canonical(apex, { exclusive = true, comments = false, prefixes = [], without = [] } = {}) {
  const listed = new Set(prefixes.map((p) => (p === '#default' ? '' : p)));
  const out = [];
  const element = (e, rendered) => {
    const scope = inScope(e);
    const attributes = Array.from(e.attributes).filter((a) => a.namespaceURI !== XMLNS);
    const wanted = new Set(exclusive ? listed : scope.keys());
    if (exclusive) {
      wanted.add(e.prefix ?? '');
      for (const a of attributes) if (a.prefix && a.prefix !== 'xml') wanted.add(a.prefix);
    }
    wanted.add('');  // an empty default namespace is undeclared where an ancestor in the output declared one
    const seen = new Map(rendered);
    const declared = [];
    for (const prefix of [...wanted].sort(order)) {
      const uri = scope.get(prefix) ?? '';
      if (prefix === '' && exclusive && e.prefix && !listed.has('')) continue;
      if (prefix === 'xml' || (prefix !== '' && !scope.has(prefix)) || (seen.get(prefix) ?? '') === uri) continue;
      seen.set(prefix, uri);
      declared.push(prefix === '' ? ` xmlns="${value(uri)}"` : ` xmlns:${prefix}="${value(uri)}"`);
    }
    if (!exclusive && e === apex) {
      for (let up = e.parentNode; up && up.nodeType === 1; up = up.parentNode) {
        for (const a of Array.from(up.attributes)) {
          if (a.namespaceURI === XML && !attributes.some((b) => b.nodeName === a.nodeName)) attributes.push(a);
        }
      }
    }
    attributes.sort((a, b) => order(a.namespaceURI ?? '', b.namespaceURI ?? '') || order(a.localName, b.localName));
    out.push('<', e.nodeName, ...declared, ...attributes.map((a) => ` ${a.nodeName}="${value(a.value)}"`), '>');
    for (let c = e.firstChild; c; c = c.nextSibling) node(c, seen);
    out.push('</', e.nodeName, '>');
  };
  const node = (n, rendered) => {
    if (without.includes(n)) return;
    if (n.nodeType === 1) element(n, rendered);
    else if (n.nodeType === 3 || n.nodeType === 4) out.push(text(n.data));
    else if (n.nodeType === 7) out.push(`<?${n.target}${n.data ? ` ${n.data}` : ''}?>`);
    else if (n.nodeType === 8 && comments) out.push(`<!--${n.data}-->`);
  };
  node(apex, new Map());
  return out.join('');
}
