// Owns responses that verify and must be refused for what they say: for whom, from whom, until when, and about what.
import { checks, either, fine, made, swap } from './tools.mjs';
import { BEARER, PERSISTENT, at, world } from '../forge.mjs';

const whole = (name, change, expect, more = {}) => [made(`${name} (assertion signed)`, change, expect, more), made(`${name} (response signed)`, change, expect, { ...more, twin: { ...more.twin, sign: 'response' } })];
const issuer = checks('issuer');
const from = [
  ...whole('the Response\'s Issuer is another', { responseIssuer: 'https://other.example/saml' }, issuer),
  ...whole('the assertion\'s Issuer is another', { assertionIssuer: 'https://other.example/saml' }, issuer),
  made('the Issuer differs in case', { issuer: 'https://IDP.example/saml' }, issuer),
  made('the Issuer has a slash behind it', { issuer: `${world.idp}/` }, issuer),
  made('the Issuer is empty', { issuer: '' }, checks('issuer', 'shape')),
  made('the assertion has no Issuer', { assertionIssuer: null }, checks('issuer', 'shape', 'xml')),
  either('the Response has no Issuer', { responseIssuer: null }, checks('issuer', 'shape')),
  either('the Issuer has blanks around it', { assertionIssuer: ` ${world.idp} ` }, issuer),
  made('the Issuer\'s Format is not entity', { issuerFormat: PERSISTENT }, checks('issuer', 'shape')),
  fine('the Issuer\'s Format is entity', { issuerFormat: 'urn:oasis:names:tc:SAML:2.0:nameid-format:entity' }),
];

const audience = checks('audience');
const forWhom = [
  ...whole('another Audience', { audiences: [['https://other.example/metadata']] }, audience),
  made('the Audience is another tenant\'s', { audiences: [['https://daypass.example/t/rival/idp/corp/metadata']] }, audience),
  made('the Audience is another identity provider\'s of the same tenant', { audiences: [['https://daypass.example/t/acme/idp/other/metadata']] }, audience),
  made('the Audience goes on where ours ends', { audiences: [[`${world.sp}.attacker.example`]] }, audience),
  made('the Audience ends before ours does', { audiences: [[world.sp.slice(0, -1)]] }, audience),
  made('the Audience differs in case', { audiences: [[world.sp.toUpperCase()]] }, audience),
  made('the Audience is empty', { audiences: [['']] }, audience),
  made('no AudienceRestriction', { audiences: [] }, audience),
  made('an AudienceRestriction without an Audience', { audiences: [[]] }, checks('audience', 'shape', 'xml')),
  made('two AudienceRestrictions, one without us', { audiences: [[world.sp], ['https://other.example/metadata']] }, audience),
  made('two AudienceRestrictions, the first without us', { audiences: [['https://other.example/metadata'], [world.sp]] }, audience),
  made('no Conditions', { conditions: false }, checks('conditions', 'audience', 'shape')),
  fine('several Audiences, ours among them', { audiences: [['https://other.example/metadata', world.sp, 'https://third.example']] }),
  fine('two AudienceRestrictions with us in both', { audiences: [['https://other.example/metadata', world.sp], [world.sp]] }),
  either('blanks around the Audience', { audiences: [[` ${world.sp}\n`]] }, audience),
  ...whole('another Destination', { destination: 'https://other.example/callback' }, checks('destination')),
  made('the Destination is another tenant\'s', { destination: 'https://daypass.example/t/rival/idp/corp/callback' }, checks('destination')),
  made('the Destination goes on where ours ends', { destination: `${world.acs}/../../../rival` }, checks('destination')),
  made('the Destination has a query', { destination: `${world.acs}?x=1` }, checks('destination')),
  made('the Destination is empty', { destination: '' }, checks('destination', 'shape', 'xml')),
  either('no Destination, assertion signed', { destination: null }, checks('destination', 'shape')),
  made('no Destination in a signed Response', { destination: null }, checks('destination', 'shape'), { twin: { sign: 'response' }, either: true }),
  ...whole('another Recipient', { recipient: 'https://other.example/callback' }, checks('recipient', 'subject_confirmation')),
  made('the Recipient is another tenant\'s', { recipient: 'https://daypass.example/t/rival/idp/corp/callback' }, checks('recipient', 'subject_confirmation')),
  made('the Recipient is in plain http', { recipient: world.acs.replace('https', 'http') }, checks('recipient', 'subject_confirmation')),
  made('the Recipient is empty', { recipient: '' }, checks('recipient', 'subject_confirmation')),
  made('no Recipient', { recipient: null }, checks('recipient', 'subject_confirmation')),
];

const answer = checks('in_response_to');
const unasked = { cli: { requestId: null }, twin: { inResponseTo: null } };
const request = [
  ...whole('InResponseTo is another request\'s, in both places', { inResponseTo: '_another' }, answer),
  made('the Response\'s InResponseTo is another request\'s', { responseInResponseTo: '_another' }, answer),
  made('the SubjectConfirmationData\'s InResponseTo is another request\'s', { subjectInResponseTo: '_another' }, checks('in_response_to', 'subject_confirmation')),
  made('an unasked response where a request is open', { inResponseTo: null }, answer),
  made('InResponseTo is empty', { inResponseTo: '' }, checks('in_response_to', 'shape', 'xml')),
  made('InResponseTo goes on where the request\'s ID ends', { inResponseTo: `${world.request}x` }, answer),
  either('InResponseTo in the SubjectConfirmationData only', { responseInResponseTo: null }, answer),
  either('InResponseTo in the Response only', { subjectInResponseTo: null }, checks('in_response_to', 'subject_confirmation')),
  fine('an unasked response where none is open', {}, unasked),
  made('an answer to a request that was never sent', { inResponseTo: world.request }, answer, unasked),
  made('an answer to a request that was never sent, named in the Response only', { responseInResponseTo: world.request }, answer, unasked),
  made('an answer to a request that was never sent, named in the SubjectConfirmationData only', { subjectInResponseTo: world.request }, checks('in_response_to', 'subject_confirmation'), unasked),
];

const over = checks('expired', 'subject_confirmation', 'conditions');
const early = checks('not_yet', 'subject_confirmation', 'conditions');
const when = [
  ...whole('expired by Conditions', { notOnOrAfter: at(-600), notBefore: at(-1200) }, checks('expired', 'conditions')),
  ...whole('expired by SubjectConfirmationData', { subjectNotOnOrAfter: at(-600) }, over),
  made('expired 90 s ago by Conditions', { notOnOrAfter: at(-90) }, checks('expired', 'conditions')),
  made('expired 90 s ago by SubjectConfirmationData', { subjectNotOnOrAfter: at(-90) }, over),
  made('expired years ago', { issueInstant: '2015-08-31T08:54:06Z', notBefore: '2015-08-31T08:53:06Z', notOnOrAfter: '2015-08-31T08:59:06Z', subjectNotOnOrAfter: '2015-08-31T08:59:06Z' }, over),
  ...whole('not valid yet by Conditions', { notBefore: at(600), notOnOrAfter: at(1200) }, checks('not_yet', 'conditions')),
  made('valid in 90 s', { notBefore: at(90) }, checks('not_yet', 'conditions')),
  made('NotBefore behind NotOnOrAfter', { notBefore: at(30), notOnOrAfter: at(-30) }, checks('not_yet', 'expired', 'conditions')),
  fine('expired 30 s ago, within the skew', { notOnOrAfter: at(-30), subjectNotOnOrAfter: at(-30) }),
  fine('valid in 30 s, within the skew', { notBefore: at(30) }),
  made('no NotOnOrAfter in SubjectConfirmationData', { subjectNotOnOrAfter: null }, over),
  either('no NotOnOrAfter in Conditions', { notOnOrAfter: null }, checks('expired', 'conditions')),
  either('no NotBefore in Conditions', { notBefore: null }, checks('not_yet', 'conditions')),
  made('NotBefore in SubjectConfirmationData, past', { subjectNotBefore: at(-60) }, checks('subject_confirmation', 'not_yet')),
  made('NotBefore in SubjectConfirmationData, to come', { subjectNotBefore: at(600) }, early),
  made('SessionNotOnOrAfter past', { sessionNotOnOrAfter: at(-600) }, checks('expired', 'authn_statement', 'session')),
  fine('no SessionNotOnOrAfter', { sessionNotOnOrAfter: null }),
  either('IssueInstant in an hour', { issueInstant: at(3600) }, checks('not_yet', 'issue_instant', 'conditions')),
  either('AuthnInstant in an hour', { authnInstant: at(3600) }, checks('not_yet', 'authn_statement')),
  ...[
    ['a time that is none', 'soon'], ['an empty time', ''], ['a date without a time', '2026-03-02'], ['the 30th of February', '2026-02-30T00:00:00Z'], ['month 13', '2026-13-01T00:00:00Z'], ['hour 25', '2026-03-02T25:00:00Z'], ['a time with text behind it', `${at(300)}x`],
    ['a negative year', '-2026-03-02T00:00:00Z'], ['seconds since 1970', '1800000000'],
  ].map(([name, notOnOrAfter]) => made(`NotOnOrAfter is ${name}`, { notOnOrAfter }, checks('xml', 'shape', 'conditions', 'expired', 'time'))),
  ...[
    ['no time zone', '2026-03-01T12:05:00'], ['a leap second', '2026-03-01T23:59:60Z'], ['a year of five digits', '12026-03-01T12:05:00Z'], ['hour 24', '2026-03-01T24:00:00Z'], ['lower case', '2026-03-01t12:05:00z'], ['twenty decimals', '2026-03-01T12:05:00.12345678901234567890Z'],
  ].map(([name, notOnOrAfter]) => either(`NotOnOrAfter has ${name}`, { notOnOrAfter }, checks('xml', 'shape', 'conditions', 'expired', 'time'))),
  fine('times with an offset', { notOnOrAfter: '2026-03-01T13:05:00+01:00', notBefore: '2026-03-01T06:59:00-05:00' }),
  made('an offset that puts the end in the past', { notOnOrAfter: '2026-03-01T12:05:00+01:00' }, checks('expired', 'conditions')),
  fine('times with milliseconds', { notOnOrAfter: '2026-03-01T12:05:00.123Z', notBefore: '2026-03-01T11:59:00.5Z' }),
];

const confirmed = checks('subject_confirmation', 'shape', 'subject');
const bearer = (data) => `<saml:SubjectConfirmation Method="${BEARER}">${data}</saml:SubjectConfirmation>`;
const good = `<saml:SubjectConfirmationData InResponseTo="${world.request}" NotOnOrAfter="${at(300)}" Recipient="${world.acs}"/>`;
const about = [
  ...['holder-of-key', 'sender-vouches'].map((m) => made(`the only confirmation is ${m}`, { confirmationMethod: `urn:oasis:names:tc:SAML:2.0:cm:${m}` }, confirmed)),
  made('the confirmation\'s method is unknown', { confirmationMethod: 'urn:example:bearer' }, confirmed),
  made('no SubjectConfirmation', { confirmationMethod: null }, confirmed),
  made('no SubjectConfirmationData', { confirmationData: false }, confirmed),
  made('no Subject', { subject: false }, confirmed),
  made('an empty NameID', { nameId: '' }, checks('shape', 'subject', 'name_id')),
  made('a NameID of blanks', { nameId: ' \n ' }, checks('shape', 'subject', 'name_id')),
  made('two NameIDs', { nameIdXml: '<saml:NameID>admin@corp.example</saml:NameID><saml:NameID>dana@corp.example</saml:NameID>' }, checks('shape', 'subject', 'name_id')),
  made('an element in NameID', { nameIdXml: '<saml:NameID>admin@corp.example<x:x xmlns:x="urn:example:x">.attacker.example</x:x></saml:NameID>' }, checks('shape', 'subject', 'name_id')),
  made('a BaseID', { nameIdXml: '<saml:BaseID NameQualifier="x"/>' }, checks('shape', 'subject', 'name_id')),
  made('an EncryptedID', { nameIdXml: '<saml:EncryptedID/>' }, checks('shape', 'subject', 'name_id', 'decrypt')),
  made('two Subjects', (t) => ({ conditionsExtra: '', advice: '', subjectExtra: `</saml:Subject><saml:Subject><saml:NameID>admin@corp.example</saml:NameID>${bearer(good)}`, nameId: t.o.nameId }), checks('shape')),
  made('two bearer confirmations, both for another recipient', { confirmation: bearer(good.replace(world.acs, 'https://other.example/a')) + bearer(good.replace(world.acs, 'https://other.example/b')) }, checks('recipient', 'subject_confirmation', 'shape')),
  // The standard is content with one that holds; a stricter reader may want exactly one.
  either('two bearer confirmations, one for another recipient', { confirmation: bearer(good.replace(world.acs, 'https://other.example/a')) + bearer(good) }, checks('recipient', 'subject_confirmation', 'shape')),
  either('a bearer confirmation beside one by holder of key', { confirmation: `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"/>${bearer(good)}` }, confirmed),
  fine('a persistent NameID', { nameIdFormat: PERSISTENT, nameId: 'b7f3a1c0' }, { twin: { nameIdFormat: PERSISTENT, nameId: 'b7f3a1c0' } }),
  fine('a NameID without a Format', { nameIdFormat: null }),
  made('no AuthnStatement', { authnStatement: false }, checks('authn_statement')),
  either('two AuthnStatements', { authnStatements: 2 }, checks('authn_statement', 'shape')),
  fine('two AuthnStatements, each with a SessionIndex of its own', {}, { twin: { sessionIndex: ['_session-1', '_session-2'] } }),
  made('more SessionIndexes than are kept', { sessionIndex: Array.from({ length: 65 }, (_, i) => `_s${i}`) }, checks('authn_statement')),
  made('a SessionIndex that is too long', { sessionIndex: 'x'.repeat(1025) }, checks('authn_statement')),
  fine('no attributes', { attributes: {} }, { twin: { attributes: {} } }),
  either('an attribute without a Name', { attributeInner: '<saml:Attribute><saml:AttributeValue>v</saml:AttributeValue></saml:Attribute>' }, checks('shape', 'attribute', 'xml'), { anyAttributes: true }),
  either('an attribute with an element in its value', { attributeInner: '<saml:Attribute Name="a"><saml:AttributeValue><saml:NameID>x</saml:NameID></saml:AttributeValue></saml:Attribute>' }, checks('shape', 'attribute'), { anyAttributes: true }),
  either('one attribute twice', { attributeInner: '<saml:Attribute Name="a"><saml:AttributeValue>1</saml:AttributeValue></saml:Attribute><saml:Attribute Name="a"><saml:AttributeValue>2</saml:AttributeValue></saml:Attribute>' }, checks('shape', 'attribute'), { anyAttributes: true }),
  either('an encrypted attribute', { attributeInner: '<saml:EncryptedAttribute/>' }, checks('shape', 'attribute', 'decrypt'), { anyAttributes: true }),
];

const rest = [
  ...whole('the Status is Responder', { status: 'urn:oasis:names:tc:SAML:2.0:status:Responder' }, checks('status')),
  made('the Status is Responder, with Success inside', { status: 'urn:oasis:names:tc:SAML:2.0:status:Responder', statusInner: '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>' }, checks('status')),
  made('the Status differs in case', { status: 'urn:oasis:names:tc:SAML:2.0:status:success' }, checks('status')),
  made('the Status\'s code is empty', { status: '' }, checks('status', 'shape', 'xml')),
  made('no Status', { status: null }, checks('status', 'shape')),
  made('two status codes', { status: 'urn:oasis:names:tc:SAML:2.0:status:Success', statusExtra: '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"/>' }, checks('status', 'shape')),
  made('two Statuses, the failure last', { extensions: '', responseExtra: '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"/></samlp:Status>' }, checks('status', 'shape')),
  fine('a Status with a message', { statusExtra: '<samlp:StatusMessage>Welcome</samlp:StatusMessage>' }),
  ...['1.1', '2.1', '2', ''].flatMap((version) => [
    made(`the Response's Version is "${version}"`, { version }, checks('version', 'shape', 'xml')),
    made(`the assertion's Version is "${version}"`, { assertionVersion: version }, checks('version', 'shape', 'xml')),
  ]),
  made('the Response has no Version', { version: null }, checks('version', 'shape', 'xml')),
  fine('OneTimeUse', { conditionsExtra: '<saml:OneTimeUse/>' }),
  fine('ProxyRestriction', { conditionsExtra: '<saml:ProxyRestriction Count="0"/>' }),
  made('a condition that nobody knows', { conditionsExtra: `<saml:Condition xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:x="urn:example:x" xsi:type="x:Odd"/>` }, checks('conditions', 'shape')),
  made('an element in Conditions that nobody knows', { conditionsExtra: '<x:Condition xmlns:x="urn:example:x"/>' }, checks('conditions', 'shape')),
  made('a second Conditions, wider than the first', (t) => ({ notOnOrAfter: at(-600), notBefore: at(-1200), conditionsExtra: `</saml:Conditions><saml:Conditions NotOnOrAfter="${at(300)}"><saml:AudienceRestriction><saml:Audience>${t.o.audiences[0][0]}</saml:Audience></saml:AudienceRestriction>` }), checks('shape', 'conditions', 'expired')),
  made('an unknown statement', { assertionExtra: `<saml:Statement xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:x="urn:example:x" xsi:type="x:Odd"/>` }, checks('shape'), { either: true }),
  fine('Consent in the Response', { responseAttributes: ' Consent="urn:oasis:names:tc:SAML:2.0:consent:obtained"' }),
  { name: 'the same response twice', mutate: (xml) => xml, expect: checks('replay'), needsServer: true },
  { name: 'the same assertion in another response', mutate: (xml, t) => swap(xml, t.o.responseId, '_another-response'), expect: checks('replay'), needsServer: true },
];

const stale = [
  made('the metadata\'s validUntil is past', {}, checks('metadata_expired'), { attackMetadata: { validUntil: at(-3600) } }),
  made('the metadata\'s validUntil is no time', {}, checks('metadata', 'metadata_expired', 'xml'), { attackMetadata: { validUntil: 'never' } }),
  fine('the metadata\'s validUntil is to come', {}, { attackMetadata: { validUntil: at(86400), cacheDuration: 'PT1H' } }),
  made('the metadata is another identity provider\'s', {}, checks('issuer', 'signature'), { attackMetadata: { entity: 'https://other.example/saml' } }),
  made('the metadata has no signing key', {}, checks('metadata', 'signature'), { attackMetadata: { signing: [] } }),
  made('the metadata has a DOCTYPE', {}, checks('metadata', 'xml'), { attackMetadata: { doctype: '<!DOCTYPE EntityDescriptor [<!ENTITY x "y">]>' } }),
];

export const conditions = [...from, ...forWhom, ...request, ...when, ...about, ...rest, ...stale];
