// Owns attacks on the encrypted assertion: what may be decrypted at all, what a changed ciphertext tells, and what comes out.
import { broken, checks, child, edit, either, find, fine, fragment, made, remove, swap, unbound } from './tools.mjs';
import { encryptAssertion } from '../encrypt.mjs';
import { assertionXml, responseXml } from '../forge.mjs';

const decrypt = checks('decrypt', 'algorithm', 'shape');
const early = checks('decrypt', 'algorithm', 'unsigned', 'signature');
const cipherOf = (doc) => { const data = find(doc, 'EncryptedData'); return find(child(data, 'CipherData'), 'CipherValue'); };
const keyOf = (doc) => find(find(doc, 'EncryptedKey'), 'CipherValue');
const flip = (element, at) => { const b = Buffer.from(element.textContent, 'base64'); b[at < 0 ? b.length + at : at] ^= 1; element.textContent = b.toString('base64'); };
/** One variant for each block of the ciphertext, one bit of it changed. */
const blocks = (xml) => {
  let length;
  edit(xml, (doc) => { length = Buffer.from(cipherOf(doc).textContent, 'base64').length; });
  return Array.from({ length: Math.ceil(length / 16) }, (_, i) => edit(xml, (doc) => flip(cipherOf(doc), Math.min(i * 16 + 15, length - 1))));
};
const gcm = { twin: { encrypt: { cipher: 'aes256-gcm' } } };
const cbcInside = { twin: { sign: 'response', encrypt: { cipher: 'aes256-cbc' } } };

const accepted = [
  ...['aes128-gcm', 'aes192-gcm', 'aes256-gcm'].flatMap((cipher) => ['assertion', 'response', 'both'].map((sign) => fine(`${cipher}, ${sign} signed`, {}, { twin: { sign, encrypt: { cipher } } }))),
  ...['aes128-cbc', 'aes192-cbc', 'aes256-cbc'].flatMap((cipher) => ['response', 'both'].map((sign) => fine(`${cipher}, ${sign} signed`, {}, { twin: { sign, encrypt: { cipher } } }))),
  ...['oaep', 'oaepPlain', 'oaep256'].map((transport) => fine(`key transport ${transport}`, {}, { twin: { encrypt: { transport } } })),
  // Both places are allowed; some identity providers use the second one.
  either('the EncryptedKey beside EncryptedData', { encrypt: { place: 'beside' } }, checks('decrypt', 'shape')),
];

const algorithms = [
  ...['aes128-cbc', 'aes192-cbc', 'aes256-cbc'].map((cipher) => made(`${cipher} in an unsigned Response`, { encrypt: { cipher } }, early, { twin: { encrypt: { cipher: cipher.replace('cbc', 'gcm') } } })),
  made('Triple DES in an unsigned Response', { encrypt: { cipher: 'tripledes-cbc' } }, early, gcm),
  made('Triple DES in a signed Response', { sign: 'both', encrypt: { cipher: 'tripledes-cbc' } }, checks('decrypt', 'algorithm'), { twin: { sign: 'both', encrypt: {} } }),
  made('key transport RSA 1.5', { encrypt: { transport: 'rsa15' } }, checks('decrypt', 'algorithm'), gcm),
  made('key transport RSA 1.5 in a signed Response', { sign: 'both', encrypt: { transport: 'rsa15' } }, checks('decrypt', 'algorithm'), { twin: { sign: 'both', encrypt: {} } }),
  made('encrypted for another service provider', { encrypt: { to: 'other' } }, checks('decrypt'), gcm),
  { name: 'GCM named, CBC used', ...gcm, mutate: (xml, t) => t.again({ encrypt: { cipher: 'aes256-cbc' } }).replace('http://www.w3.org/2001/04/xmlenc#aes256-cbc', 'http://www.w3.org/2009/xmlenc11#aes256-gcm'), expect: checks('decrypt') },
  // The known way around GCM: the same key and ciphertext, relabelled as CBC, tells the plain text byte by byte.
  { name: 'CBC named, GCM used', ...gcm, mutate: (xml) => swap(xml, 'http://www.w3.org/2009/xmlenc11#aes256-gcm', 'http://www.w3.org/2001/04/xmlenc#aes256-cbc'), expect: early },
  { name: 'a key of another size than the cipher\'s', ...gcm, mutate: (xml) => swap(xml, 'xmlenc11#aes256-gcm', 'xmlenc11#aes128-gcm'), expect: checks('decrypt', 'algorithm') },
  { name: 'an unknown cipher', ...gcm, mutate: (xml) => swap(xml, 'http://www.w3.org/2009/xmlenc11#aes256-gcm', 'urn:example:none'), expect: decrypt },
  { name: 'no EncryptionMethod', ...gcm, mutate: (xml) => edit(xml, (doc) => remove(child(find(doc, 'EncryptedData'), 'EncryptionMethod'))), expect: decrypt },
  { name: 'an unknown key transport', ...gcm, mutate: (xml) => swap(xml, 'http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p', 'urn:example:none'), expect: decrypt },
  { name: 'another digest in OAEP than was used', ...gcm, mutate: (xml) => swap(xml, /(<xenc:EncryptedKey .*?)http:\/\/www\.w3\.org\/2000\/09\/xmldsig#sha1/, '$1http://www.w3.org/2001/04/xmlenc#sha512'), expect: decrypt },
];

const ciphertext = [
  { name: 'one bit of each block changed, GCM', ...gcm, mutate: blocks, expect: checks('decrypt'), same: true },
  // With no signature around it nothing of a CBC ciphertext may be tried: every answer is the same.
  { name: 'one bit of each block changed, CBC, Response unsigned', ...gcm, mutate: (xml, t) => blocks(t.again({ encrypt: { cipher: 'aes256-cbc' } })), expect: early, same: true },
  { name: 'one bit of each block changed, CBC, Response signed', ...cbcInside, mutate: blocks, expect: checks(...broken), same: true },
  ...[0, 15, -1].map((at) => ({ name: `byte ${at} of the wrapped key changed`, ...gcm, mutate: (xml) => edit(xml, (doc) => flip(keyOf(doc), at)), expect: checks('decrypt') })),
  ...[0, 1, 12, 15, 16, 27, 28].map((size) => ({ name: `a GCM ciphertext of ${size} bytes`, ...gcm, mutate: (xml) => edit(xml, (doc) => { const c = cipherOf(doc); c.textContent = Buffer.from(c.textContent, 'base64').subarray(0, size).toString('base64'); }), expect: decrypt })),
  { name: 'the GCM tag cut to four bytes', ...gcm, mutate: (xml) => edit(xml, (doc) => { const c = cipherOf(doc); c.textContent = Buffer.from(c.textContent, 'base64').subarray(0, -12).toString('base64'); }), expect: checks('decrypt') },
  { name: 'the ciphertext is no base64', ...gcm, mutate: (xml) => edit(xml, (doc) => { cipherOf(doc).textContent = '!!!!'; }), expect: checks('decrypt', 'shape', 'base64') },
  { name: 'the wrapped key is empty', ...gcm, mutate: (xml) => edit(xml, (doc) => { keyOf(doc).textContent = ''; }), expect: decrypt },
  { name: 'an element in the ciphertext', ...gcm, mutate: (xml) => edit(xml, (doc) => { cipherOf(doc).appendChild(fragment(doc, '<x xmlns="urn:example:x">AAAA</x>')); }), expect: decrypt },
  { name: 'the ciphertext lies at a URL', ...gcm, mutate: (xml) => edit(xml, (doc) => {
    const data = child(find(doc, 'EncryptedData'), 'CipherData');
    data.textContent = '';
    data.appendChild(fragment(doc, '<xenc:CipherReference xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" URI="http://127.0.0.1:9/x"/>'));
  }), expect: decrypt },
  { name: 'the wrapped key lies at a URL', ...gcm, mutate: (xml) => edit(xml, (doc) => {
    const key = find(doc, 'EncryptedKey');
    key.parentNode.replaceChild(fragment(doc, '<ds:RetrievalMethod xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey" URI="http://127.0.0.1:9/x"/>'), key);
  }), expect: decrypt },
  { name: 'a RetrievalMethod that points to itself', ...gcm, mutate: (xml) => edit(xml, (doc) => {
    const key = find(doc, 'EncryptedKey');
    key.parentNode.replaceChild(fragment(doc, '<ds:RetrievalMethod xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="_loop" URI="#_loop"/>'), key);
  }), expect: checks('decrypt', 'shape', 'duplicate_id') },
  { name: 'no EncryptedKey', ...gcm, mutate: (xml) => edit(xml, (doc) => remove(find(doc, 'EncryptedKey'))), expect: decrypt },
  // XML Signature section 4.5: a KeyInfo holds at least one thing.
  { name: 'an empty KeyInfo, the EncryptedKey beside it', twin: { encrypt: { place: 'beside' } }, mutate: (xml) => edit(xml, (doc) => { child(find(doc, 'EncryptedData'), 'KeyInfo').textContent = ''; }), expect: decrypt },
  made('two EncryptedKeys', { encrypt: { copies: 2 } }, checks('decrypt', 'shape'), gcm),
  made('1,000 EncryptedKeys', { encrypt: { copies: 1000 } }, checks('decrypt', 'shape', 'too_large', 'too_many', 'xml'), gcm),
  { name: 'two EncryptedData', ...gcm, mutate: (xml) => edit(xml, (doc) => { const d = find(doc, 'EncryptedData'); d.parentNode.appendChild(d.cloneNode(true)); }), expect: decrypt },
  { name: 'the ciphertext of another valid response', twin: { sign: 'both', encrypt: {} }, mutate: (xml, t) => {
    let other;
    edit(t.second({ encrypt: {} }), (doc) => { other = cipherOf(doc).textContent; });
    return edit(xml, (doc) => { cipherOf(doc).textContent = other; });
  }, expect: checks(...broken) },
  { name: 'an empty EncryptedAssertion', ...gcm, mutate: (xml) => edit(xml, (doc) => { find(doc, 'EncryptedAssertion').textContent = ''; }), expect: decrypt },
];

// Anyone can encrypt for a public key, so what comes out of a decryption is as unknown as what came in.
const inside = (name, plain, expect, more = {}) => ({ name: `decrypts to ${name}`, ...gcm, expect, ...more, mutate: (xml, t) => responseWith(t, encryptAssertion(plain(t), { to: t.keys.sp })) });
const responseWith = (t, body) => t.o.declaration + responseXml(t.o, body);
const signedAssertion = (t, changes = {}) => t.sign(assertionXml({ ...t.o, ...changes }), t.o.assertionId);
const content = checks('decrypt', 'shape', 'xml', ...unbound);
const plainTexts = [
  inside('an unsigned assertion', (t) => assertionXml(t.o), checks('unsigned', 'signature', 'shape')),
  inside('an assertion of the attacker', (t) => t.sign(assertionXml(t.o), t.o.assertionId, { key: t.keys.attacker }), checks('signature')),
  inside('an assertion changed after signing', (t) => signedAssertion(t).replace('>dana@', '>admin@'), checks(...broken)),
  inside('an EncryptedAssertion', (t) => encryptAssertion(signedAssertion(t), { to: t.keys.sp }), content),
  inside('two assertions', (t) => signedAssertion(t) + assertionXml({ ...t.o, assertionId: '_evil', nameId: 'admin@corp.example' }), content),
  inside('an assertion and text behind it', (t) => `${signedAssertion(t)}text`, content),
  inside('an assertion and a comment in NameID', (t) => signedAssertion(t).replace('>dana@corp', '>dana@corp<!---->'), content),
  inside('an assertion behind a DOCTYPE', (t) => `<!DOCTYPE x [<!ENTITY e "admin">]>${signedAssertion(t)}`, content),
  inside('an assertion and an instruction', (t) => `<?x y?>${signedAssertion(t)}`, content),
  inside('an end tag and what the attacker puts behind it', (t) => `${signedAssertion(t)}</saml:EncryptedAssertion>${assertionXml({ ...t.o, assertionId: '_evil' })}<saml:EncryptedAssertion>`, content),
  inside('a whole Response', (t) => t.second().slice(t.o.declaration.length), content),
  inside('nothing', () => '', content),
  inside('text', () => 'dana@corp.example', content),
  inside('invalid UTF-8', (t) => Buffer.concat([Buffer.from(signedAssertion(t)), Buffer.from([0xff, 0xfe])]), content),
  inside('UTF-16', (t) => Buffer.from(`\uFEFF${signedAssertion(t)}`, 'utf16le'), content),
  inside('an assertion with the Response\'s ID', (t) => t.sign(assertionXml({ ...t.o, assertionId: t.o.responseId }), t.o.responseId), content, { either: true, anyId: true }),
  inside('elements 10,000 deep', (t) => `${'<x>'.repeat(10000)}${signedAssertion(t)}${'</x>'.repeat(10000)}`, checks('decrypt', 'shape', 'xml', 'too_deep', 'too_large')),
  inside('an assertion for another audience', (t) => signedAssertion(t, { audiences: [['https://other.example']] }), checks('audience')),
  inside('an expired assertion', (t) => signedAssertion(t, { notOnOrAfter: '2026-03-01T11:00:00Z' }), checks('expired', 'conditions')),
  inside('an assertion that leans on a prefix declared outside', (t) => signedAssertion(t).replace(/ xmlns:saml="[^"]*"/, ''), content, { either: true }),
  { name: 'an unsigned encrypted assertion beside a Signature of the Response that is the attacker\'s', ...gcm, mutate: (xml, t) => t.sign(responseWith(t, encryptAssertion(assertionXml(t.o), { to: t.keys.sp })), t.o.responseId, { key: t.keys.attacker }), expect: checks(...unbound) },
  made('encrypted, and the tool has no key', {}, checks('decrypt'), { ...gcm, attackCli: { spKey: null } }),
];

export const encryption = [...accepted, ...algorithms, ...ciphertext, ...plainTexts];
