// Owns attacks on the document: comments, declarations, encodings, sizes, and what surrounds it on its way.
import zlib from 'node:zlib';
import { checks, either, fine, made, swap, unbound, unread } from './tools.mjs';
import { assertionXml } from '../forge.mjs';

const refused = checks(...unread);
const text = (name, mutate, expect = refused, more = {}) => ({ name, mutate, expect, ...more });

// A comment is not in the canonical form: the signature still verifies, and a reader that takes the first text node reads less.
const evilSuffix = { nameId: 'admin@corp.example.attacker.example', attributes: { mail: ['admin@corp.example.attacker.example'], groups: ['data-readers'] } };
const comments = [
  text('a comment in NameID', (xml) => swap(xml, />admin@corp\.example\.attacker/, '>admin@corp.example<!---->.attacker'), refused, { twin: evilSuffix }),
  text('a comment in NameID, Response signed', (xml) => swap(xml, />admin@corp\.example\.attacker/, '>admin@corp.example<!-- x -->.attacker'), refused, { twin: { ...evilSuffix, sign: 'response' } }),
  text('a comment in an attribute value', (xml) => swap(xml, '>data-readers<', '>data<!---->-readers<'), refused, { twin: evilSuffix }),
  text('a comment in the assertion\'s Issuer', (xml) => swap(xml, /(<saml:Assertion .*?<saml:Issuer>https:\/\/idp)/s, '$1<!---->'), refused),
  text('a comment in the Response\'s Issuer', (xml) => swap(xml, '<saml:Issuer>https://idp', '<saml:Issuer>https://idp<!---->'), refused),
  text('a comment in Audience', (xml) => swap(xml, '<saml:Audience>', '<saml:Audience><!---->'), refused),
  text('a comment between elements', (xml) => swap(xml, '<saml:Conditions', '<!-- x --><saml:Conditions'), refused),
  text('a comment before the Response', (xml, t) => t.prolog(xml, '<!-- x -->'), refused),
  text('a comment behind the Response', (xml) => `${xml}<!-- x -->`, refused),
  text('a comment that hides the signed assertion', (xml, t) => swap(xml, /<saml:Assertion .*<\/saml:Assertion>/s, (a) => `${assertionXml({ ...t.o, nameId: 'admin@corp.example' })}<!--${a}-->`), checks(...unread, ...unbound)),
  either('CDATA in NameID', {}, refused, { mutate: (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>dana<![CDATA[@corp.example]]></saml:NameID>') }),
  either('CDATA around an attribute value', {}, refused, { mutate: (xml) => swap(xml, '>data<', '><![CDATA[data]]><') }),
  fine('a character reference in NameID', {}, { mutate: (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>&#100;ana&#x40;corp.example</saml:NameID>') }),
  fine('predefined entities in an attribute value', { attributes: { mail: ['<dana> & "sam"'] } }, { twin: { attributes: { mail: ['<dana> & "sam"'] } } }),
  text('an instruction in NameID', (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>dana@corp.example<?x y?></saml:NameID>'), refused),
  text('an instruction before the Response', (xml, t) => t.prolog(xml, '<?xml-stylesheet type="text/xsl" href="https://attacker.example/x.xsl"?>'), refused),
  text('an instruction behind the Response', (xml) => `${xml}<?x y?>`, refused),
  text('a second XML declaration', (xml, t) => t.prolog(xml, '<?xml version="1.0"?>'), refused),
];

const bomb = Array.from({ length: 12 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`).join('');
const quadratic = `<!ENTITY q "${'x'.repeat(50000)}">`;
const doctypes = [
  text('DOCTYPE, empty', (xml, t) => t.prolog(xml, '<!DOCTYPE Response>'), refused),
  text('DOCTYPE with an internal subset', (xml, t) => t.prolog(xml, '<!DOCTYPE Response [<!ELEMENT x ANY>]>'), refused),
  text('an entity in NameID', (xml, t) => swap(t.prolog(xml, '<!DOCTYPE Response [<!ENTITY who "admin@corp.example">]>'), '>dana@corp.example</saml:NameID>', '>&who;</saml:NameID>'), refused),
  text('an entity bomb', (xml, t) => swap(t.prolog(xml, `<!DOCTYPE Response [<!ENTITY e0 "boom">${bomb}]>`), '>dana@corp.example</saml:NameID>', '>&e12;</saml:NameID>'), refused),
  text('a quadratic entity bomb', (xml, t) => swap(t.prolog(xml, `<!DOCTYPE Response [${quadratic}]>`), '>dana@corp.example</saml:NameID>', `>${'&q;'.repeat(10000)}</saml:NameID>`), refused),
  text('an external entity, file', (xml, t) => swap(t.prolog(xml, '<!DOCTYPE Response [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), '>dana@corp.example</saml:NameID>', '>&f;</saml:NameID>'), refused),
  text('an external entity, URL', (xml, t) => swap(t.prolog(xml, '<!DOCTYPE Response [<!ENTITY f SYSTEM "http://127.0.0.1:9/x">]>'), '>dana@corp.example</saml:NameID>', '>&f;</saml:NameID>'), refused),
  text('an external subset', (xml, t) => t.prolog(xml, '<!DOCTYPE Response SYSTEM "http://127.0.0.1:9/saml.dtd">'), refused),
  text('a parameter entity', (xml, t) => t.prolog(xml, '<!DOCTYPE Response [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]>'), refused),
  text('a declaration that makes another attribute the ID', (xml, t) => t.prolog(xml, '<!DOCTYPE Response [<!ATTLIST saml:NameID Format ID #IMPLIED>]>'), refused),
  text('a declaration that gives an attribute a default', (xml, t) => t.prolog(xml, '<!DOCTYPE Response [<!ATTLIST saml:Assertion xmlns:saml CDATA "urn:example:assertion">]>'), refused),
  text('DOCTYPE in lower case', (xml, t) => t.prolog(xml, '<!doctype Response>'), refused),
  text('DOCTYPE behind white space and a declaration', (xml, t) => t.prolog(xml, '\n\t <!DOCTYPE\nResponse>'), refused),
  text('DOCTYPE inside the Response', (xml) => swap(xml, '<samlp:Status>', '<!DOCTYPE Response><samlp:Status>'), refused),
  text('an undefined entity', (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>&nbsp;dana@corp.example</saml:NameID>'), refused),
];

const utf16 = (xml, big) => {
  const b = Buffer.from(`\uFEFF${xml.replace('UTF-8', 'UTF-16')}`, 'utf16le');
  return big ? b.swap16() : b;
};
const ascii = { attributes: { mail: ['dana@corp.example'] } };
const encodings = [
  text('UTF-16, little-endian', (xml) => utf16(xml, false), refused),
  text('UTF-16, big-endian', (xml) => utf16(xml, true), refused),
  text('UTF-16 without a mark', (xml) => utf16(xml, false).subarray(2), refused),
  text('UTF-16 with a DOCTYPE that a search for ASCII misses', (xml, t) => utf16(t.prolog(xml, '<!DOCTYPE Response [<!ENTITY x "y">]>'), false), refused),
  text('UTF-32', (xml) => { const b = Buffer.alloc(xml.length * 4); [...xml].forEach((c, i) => b.writeUInt32BE(c.codePointAt(0), i * 4)); return b; }, refused),
  text('UTF-7, declared', (xml) => swap(xml, 'UTF-8', 'UTF-7'), refused, { twin: ascii }),
  text('UTF-7, with a DOCTYPE in it', (xml, t) => swap(t.prolog(xml, '+ADw-!DOCTYPE Response+AD4-'), 'UTF-8', 'UTF-7'), refused, { twin: ascii }),
  text('an encoding that nobody knows', (xml) => swap(xml, 'UTF-8', 'X-NONE'), refused, { twin: ascii }),
  text('EBCDIC, declared', (xml) => swap(xml, 'UTF-8', 'IBM037'), refused, { twin: ascii }),
  either('ISO-8859-1, declared', {}, refused, { twin: ascii, mutate: (xml) => swap(xml, 'UTF-8', 'ISO-8859-1') }),
  text('invalid UTF-8', (xml) => Buffer.concat([Buffer.from(xml.slice(0, xml.indexOf('dana@'))), Buffer.from([0xc3, 0x28]), Buffer.from(xml.slice(xml.indexOf('dana@')))]), checks(...unread, ...unbound)),
  text('an overlong UTF-8 sequence', (xml) => Buffer.concat([Buffer.from(xml.slice(0, xml.indexOf('dana@'))), Buffer.from([0xc0, 0xbc]), Buffer.from(xml.slice(xml.indexOf('dana@')))]), checks(...unread, ...unbound)),
  text('a lone surrogate in UTF-8', (xml) => Buffer.concat([Buffer.from(xml.slice(0, xml.indexOf('dana@'))), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(xml.slice(xml.indexOf('dana@')))]), checks(...unread, ...unbound)),
  text('NUL in NameID', (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>dana@corp.example\0.attacker.example</saml:NameID>'), checks(...unread, ...unbound)),
  text('NUL behind the Response', (xml) => `${xml}\0`, refused),
  text('NUL behind the Response and another behind it', (xml) => `${xml}\0${xml}`, refused),
  text('a reference to character 0', (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>dana@corp.example&#0;</saml:NameID>'), refused),
  text('a control character', (xml) => swap(xml, '>dana@corp.example</saml:NameID>', '>dana@corp.example\x01</saml:NameID>'), checks(...unread, ...unbound)),
  text('XML 1.1', (xml) => swap(xml, 'version="1.0"', 'version="1.1"'), refused),
  text('XML 2.0', (xml) => swap(xml, 'version="1.0"', 'version="2.0"'), refused),
  either('a byte order mark before UTF-8', {}, refused, { mutate: (xml) => `\uFEFF${xml}` }),
  fine('no XML declaration', { declaration: '' }),
  fine('standalone in the declaration', { declaration: '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' }),
  fine('carriage returns in the prolog', { declaration: '<?xml version="1.0" encoding="UTF-8"?>\r\n' }),
  fine('letters outside the basic plane', { attributes: { mail: ['\u{1F511}dana'] } }, { twin: { attributes: { mail: ['\u{1F511}dana'] } } }),
];

const surroundings = [
  ...['saml2', 'xsd', 'xenc'].flatMap((prefix) => ['<samlp:Response ', '<saml:Assertion '].map((at) => (
    text(`the prefix ${prefix} for a stranger's namespace in ${at.slice(1, -1)}`, (xml) => swap(xml, at, `${at}xmlns:${prefix}="urn:example:x" `))))),
  text('two roots', (xml, t) => xml + xml.slice(t.o.declaration.length), refused),
  text('two roots, the unsigned one first', (xml, t) => t.again({ sign: 'none', nameId: 'admin@corp.example' }) + xml.slice(t.o.declaration.length), refused),
  text('text behind the Response', (xml) => `${xml}text`, refused),
  text('text before the Response', (xml, t) => t.prolog(xml, 'text'), refused),
  text('the end is missing', (xml) => xml.slice(0, -20), refused),
  text('an end tag of another element', (xml) => swap(xml, '</saml:NameID>', '</saml:NameId>'), refused),
  text('an undeclared prefix', (xml) => swap(xml, '<samlp:Status>', '<none:x/><samlp:Status>'), refused),
  text('an attribute twice', (xml) => swap(xml, '<samlp:Response ', '<samlp:Response Version="2.0" '), refused),
  text('nothing', () => '', checks(...unread, 'shape')),
  text('white space only', () => ' \n', checks(...unread, 'shape')),
  text('not XML', () => '{"Response": true}', refused),
  text('HTML', () => '<!doctype html><html><body>Sign in</body></html>', refused),
  // The form's field, not the document: what stands in the file is what a browser would post.
  ...[
    ['letters that are no base64', (b) => `${b.slice(0, 100)}!*${b.slice(102)}`], ['base64 with a length of 1 modulo 4', (b) => `${b.replace(/=+$/, '').slice(0, -(b.replace(/=+$/, '').length % 4) || undefined)}A`],
    ['base64 with padding in the middle', (b) => `${b.slice(0, 100)}==${b.slice(102)}`], ['base64 of the URL alphabet', (b) => `${b.slice(0, 100)}-_-_${b.slice(104)}`], ['a data URL', (b) => `data:text/xml;base64,${b}`],
    ['NUL behind the base64', (b) => `${b}\0`], ['base64 of base64', (b) => Buffer.from(b).toString('base64')],
  ].map(([name, fn]) => ({ name: `SAMLResponse: ${name}`, raw: true, mutate: (xml) => fn(Buffer.from(xml).toString('base64')), expect: refused })),
  { name: 'SAMLResponse: deflated, as for a redirect', mutate: (xml) => zlib.deflateRawSync(xml), expect: refused },
  { name: 'SAMLResponse: zlib', mutate: (xml) => zlib.deflateSync(xml), expect: refused },
  { name: 'SAMLResponse: gzip', mutate: (xml) => zlib.gzipSync(xml), expect: refused },
  { name: 'SAMLResponse: 10 MB of zeros, deflated', mutate: () => zlib.deflateRawSync(Buffer.alloc(10 << 20)), expect: refused },
  fine('SAMLResponse: base64 in lines', {}, { raw: true, mutate: (xml) => Buffer.from(xml).toString('base64').replace(/.{76}/g, '$&\r\n') }),
  fine('SAMLResponse: the XML itself in the file', {}, { raw: true, mutate: (xml) => xml }),
];

// Each is signed by the honest key where it can be, so that only its size speaks against it.
const large = checks('too_large', 'too_deep', 'too_many', 'xml', 'shape');
const many = (n, fn) => Array.from({ length: n }, (_, i) => fn(i)).join('');
const sizes = [
  made('an attribute value of 10 MB, signed', { attributes: { mail: ['m'.repeat(10 << 20)] } }, large),
  text('10 MB of white space behind the Response', (xml) => xml + ' '.repeat(10 << 20), large),
  text('10 MB of white space before the Response', (xml, t) => t.prolog(xml, ' '.repeat(10 << 20)), large),
  text('10 MB of unsigned Extensions', (xml, t) => t.again({ extensions: `<x:x xmlns:x="urn:example:x">${'x'.repeat(10 << 20)}</x:x>` }), large),
  { name: '10 MB of base64 line breaks', raw: true, mutate: (xml) => Buffer.from(xml).toString('base64') + '\n'.repeat(10 << 20), expect: checks('too_large', 'base64') },
  { name: '40 MB of base64', raw: true, mutate: () => 'A'.repeat(40 << 20), expect: checks('too_large', 'base64', 'xml') },
  text('elements 10,000 deep in Extensions', (xml, t) => t.again({ extensions: '@' }).replace('@', `${'<x>'.repeat(10000)}${'</x>'.repeat(10000)}`), large),
  text('elements 10,000 deep that never end', () => '<x>'.repeat(10000), large),
  text('elements 1,000 deep in an attribute value', (xml, t) => t.prolog(xml, '').replace('>data<', `>${'<x>'.repeat(1000)}${'</x>'.repeat(1000)}<`), checks('too_large', 'too_deep', 'xml', 'shape', ...unbound)),
  text('100,000 attributes on one element', (xml) => swap(xml, '<samlp:Status>', `<samlp:Status ${many(100000, (i) => `a${i}="" `)}>`), large),
  text('100,000 namespaces on one element', (xml) => swap(xml, '<samlp:Status>', `<samlp:Status ${many(100000, (i) => `xmlns:n${i}="u:${i}" `)}>`), large),
  made('100,000 SAML attributes, signed', { attributeInner: many(100000, (i) => `<saml:Attribute Name="${i}"><saml:AttributeValue>v</saml:AttributeValue></saml:Attribute>`) }, large),
  made('100,000 values of one SAML attribute, signed', { attributeInner: `<saml:Attribute Name="a">${many(100000, () => '<saml:AttributeValue>v</saml:AttributeValue>')}</saml:Attribute>` }, large),
  made('100,000 audiences, ours last', (t) => ({ audiences: [[...Array.from({ length: 100000 }, (_, i) => `https://${i}.example`), ...t.o.audiences[0]]] }), large),
  text('an element name of 1 MB', (xml) => swap(xml, '<samlp:Status>', `<${'n'.repeat(1 << 20)}/><samlp:Status>`), large),
  made('a NameID of 1 MB, signed', { nameId: 'n'.repeat(1 << 20) }, checks('too_large', 'xml', 'shape', 'subject', 'name_id')),
  text('10,000 Signatures', (xml) => swap(xml, /<ds:Signature .*?<\/ds:Signature>/s, (s) => s.repeat(10000)), checks('too_large', 'too_many', 'xml', ...unbound)),
  { name: 'a Signature with 10,000 certificates', mutate: (xml) => swap(xml, /<ds:X509Data>.*?<\/ds:X509Data>/s, (s) => s.repeat(10000)), expect: checks('too_large', 'too_many', 'xml', 'shape') },
];

export const document = [...comments, ...doctypes, ...encodings, ...surroundings, ...sizes.map((a) => ({ ...a, heavy: true }))];
