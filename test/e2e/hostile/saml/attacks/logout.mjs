// Owns what is wrong with answers to a logout that began here: LogoutResponses by POST, and by redirect as the query that they come in.
import { deflateRawSync } from 'node:zlib';
import { checks, edit, find, fragment, broken, swap, unbound, unread } from './tools.mjs';
import { escape, world } from '../forge.mjs';
import { algorithms, serialize, signBytes } from '../sign.mjs';

const STATUS = 'urn:oasis:names:tc:SAML:2.0:status';
const row = (name, mutate, expect, more = {}) => ({ name, logout: true, mutate, expect, ...more });
/** An answer made anew with some options changed. */
const made = (name, change, expect, more = {}) => row(name, (xml, t) => t.forge.logout({ ...t.o, ...change }), expect, more);
const about = (...names) => checks(...names.map((n) => `logout_${n}`));

/** The query of the redirect binding: what is signed are its octets (saml-bindings section 3.4.4.1). */
function query(t, { xml = t.forge.logout({ ...t.o, sign: false }), key = 'idp', algorithm = 'rsa-sha256', name = 'SAMLResponse', relay, order = [name, 'RelayState', 'SigAlg'] } = {}) {
  const parts = { [name]: deflateRawSync(Buffer.from(xml)).toString('base64'), RelayState: relay, SigAlg: algorithms[algorithm].uri };
  const octets = order.filter((n) => parts[n] !== undefined).map((n) => `${n}=${encodeURIComponent(parts[n])}`).join('&');
  return `${octets}&Signature=${encodeURIComponent(signBytes(algorithm, t.keys[key], octets).toString('base64'))}`;
}
const visited = (name, mutate, expect, more = {}) => row(`by redirect: ${name}`, (xml, t) => mutate(t), expect, { raw: true, ...more });

const says = [
  made('another Issuer', { issuer: 'https://other.example/saml' }, about('issuer')),
  made('no Issuer', { issuer: null }, about('issuer')),
  made('another Destination', { destination: 'https://other.example/logout' }, about('destination')),
  made("another tenant's Destination", { destination: world.slo.replace('/acme/', '/rival/') }, about('destination')),
  made("another identity provider's Destination", { destination: world.slo.replace('/corp/', '/other/') }, about('destination')),
  made('no Destination', { destination: null }, about('destination')),
  made('an answer to another request', { inResponseTo: '_another' }, /^logout\.state$/),
  made('an answer to a request whose ID goes on', { inResponseTo: `${world.logout}x` }, /^logout\.state$/),
  made('an answer to none', { inResponseTo: null }, about('in_response_to')),
  made('ten minutes old', { issueInstant: '2026-03-01T11:50:00Z' }, about('expired')),
  made('of tomorrow', { issueInstant: '2026-03-02T12:00:00Z' }, about('expired')),
  made('a time that is none', { issueInstant: 'now' }, about('shape')),
  made('version 1.1', { version: '1.1' }, about('shape')),
  made('no Status', { status: null }, about('shape')),
  made('two Statuses', { more: `<samlp:Status><samlp:StatusCode Value="${STATUS}:Success"/></samlp:Status>` }, about('shape')),
  made('two status codes', { statusExtra: `<samlp:StatusCode Value="${STATUS}:Success"/>` }, about('shape')),
  made('a Response in its place', { element: 'Response' }, about('shape')),
  made('a LogoutRequest in its place', { element: 'LogoutRequest' }, about('shape')),
  // Not refused, and not success: run.mjs compares the outcome with the twin's.
  ...[['Responder', ''], ['Responder', `<samlp:StatusCode Value="${STATUS}:Success"/>`], ['success', ''], ['Success', '<samlp:StatusCode Value="urn:example:not-really"/>']]
    .map(([status, statusInner], i) => made(`no success #${i}: ${status}`, { status: `${STATUS}:${status}`, statusInner }, null, { accept: true, outcome: 'refused' })),
  made('a partial logout that calls itself success', { statusInner: `<samlp:StatusCode Value="${STATUS}:PartialLogout"/>` }, null, { accept: true, outcome: 'partly' }),
];

const signed = [
  made('not signed', { sign: false }, checks('missing', 'unsigned')),
  made("signed by a stranger's key", { key: 'attacker' }, checks(...broken)),
  made("signed by a stranger's key, whose certificate comes with it", { key: 'attacker', signature: { info: 'attacker' } }, checks(...broken)),
  made('signed with SHA-1', { algorithm: 'rsa-sha1' }, checks('algorithm')),
  made('digested with SHA-1', { digest: 'sha1' }, checks('algorithm')),
  made('an HMAC under the certificate', { algorithm: 'hmac-sha256', secret: true }, checks('algorithm')),
  row('the answer changed after it was signed', (xml) => swap(xml, world.logout, '_another'), checks('digest')),
  row('the status changed after it was signed', (xml) => swap(xml, ':Success', ':Responder'), checks('digest')),
  row('a comment in InResponseTo\'s neighbour', (xml) => swap(xml, world.idp, `${world.idp}<!-- -->`), checks(...unread)),
  row('a DOCTYPE', (xml) => `<!DOCTYPE x>${xml}`, checks(...unread)),
  row('the signed answer inside a forged one', (xml, t) => {
    const forged = t.forge.logout({ ...t.o, sign: false, id: '_evil', inResponseTo: '_another', more: `<samlp:Extensions>${xml}</samlp:Extensions>` });
    return edit(forged, (doc) => {
      // The signature of the inner one, put where that of the outer belongs.
      const signature = find(find(doc, 'Extensions'), 'Signature');
      const copy = fragment(doc, serialize(signature));
      find(doc, 'Issuer').parentNode.insertBefore(copy, find(doc, 'Issuer').nextSibling);
    });
  }, checks(...unbound)),
  row('a forged answer under the ID of the signed one', (xml, t) => {
    const forged = t.forge.logout({ ...t.o, sign: false, inResponseTo: '_another', more: `<samlp:Extensions>${xml}</samlp:Extensions>` });
    return edit(forged, (doc) => { find(doc, 'Issuer').parentNode.insertBefore(fragment(doc, serialize(find(find(doc, 'Extensions'), 'Signature'))), find(doc, 'Issuer').nextSibling); });
  }, checks(...unbound)),
  row('two signatures', (xml) => edit(xml, (doc) => { const s = find(doc, 'Signature'); s.parentNode.insertBefore(s.cloneNode(true), s); }), checks(...unbound)),
  row('a signature without its place', (xml) => edit(xml, (doc) => { const s = find(doc, 'Signature'); find(doc, 'Status').appendChild(s); }), checks(...unbound, 'missing')),
  { name: 'a megabyte of white space', logout: true, mutate: (xml) => swap(xml, '</samlp:LogoutResponse>', `${' '.repeat(1 << 20)}</samlp:LogoutResponse>`), expect: checks('too_large') },
];

const redirected = [
  visited('as it should be', (t) => query(t), null, { accept: true }),
  visited('with a RelayState', (t) => query(t, { relay: 'x y' }), null, { accept: true }),
  visited('not signed', (t) => query(t).replace(/&SigAlg.*/, ''), checks('unsigned')),
  visited('a signature inside the document only', (t) => query(t, { xml: t.forge.logout(t.o) }).replace(/&SigAlg.*/, ''), checks('unsigned')),
  visited("signed by a stranger's key", (t) => query(t, { key: 'attacker' }), checks('signature')),
  visited('signed with SHA-1', (t) => query(t, { algorithm: 'rsa-sha1' }), checks('algorithm')),
  visited('SigAlg changed', (t) => swap(query(t), 'rsa-sha256', 'rsa-sha1'), checks('algorithm')),
  visited('the parameter twice', (t) => `${query(t)}&SAMLResponse=x`, checks('duplicate_parameter')),
  visited('the parameter twice, once in another spelling', (t) => `${query(t)}&SAML%52esponse=x`, checks('duplicate_parameter')),
  visited('a RelayState added', (t) => `${query(t)}&RelayState=x`, checks('signature')),
  visited('a RelayState taken away', (t) => query(t, { relay: 'x' }).replace('&RelayState=x', ''), checks('signature')),
  visited('signed as a request', (t) => swap(query(t, { name: 'SAMLRequest' }), 'SAMLRequest', 'SAMLResponse'), checks('signature')),
  visited('a request beside it', (t) => `SAMLRequest=x&${query(t)}`, about('shape')),
  visited('an answer to another request', (t) => query(t, { xml: t.forge.logout({ ...t.o, sign: false, inResponseTo: '_another' }) }), /^logout\.state$/),
  visited('a bomb', (t) => query(t, { xml: `<x>${' '.repeat(8 << 20)}</x>` }), checks('deflate', 'too_large')),
  visited('not compressed', (t) => { const octets = `SAMLResponse=${encodeURIComponent(Buffer.from(escape('<x/>')).toString('base64'))}&SigAlg=${encodeURIComponent(algorithms['rsa-sha256'].uri)}`; return `${octets}&Signature=${encodeURIComponent(signBytes('rsa-sha256', t.keys.idp, octets).toString('base64'))}`; }, checks('deflate')),
];

export const logout = [...says, ...signed, ...redirected];
