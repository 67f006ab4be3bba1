// Owns ID tokens that are signed and say something wrong, and tokens that are put together wrongly.
import { accepted, claim, header, key, refused } from './tools.mjs';
import { b64, halfHash, jws, now } from '../forge.mjs';

const day = 86400;
const iss = [
  refused('iss with a slash behind it', 'an `iss` that ends in a slash', 'id_token.iss', claim('iss', (c) => `${c.iss}/`)),
  refused('iss in capitals', 'an `iss` in other letters', 'id_token.iss', claim('iss', (c) => c.iss.toUpperCase())),
  refused('iss as a list', '`iss` as a list of one', 'id_token.iss', claim('iss', (c) => [c.iss])),
];

const aud = (name, value, check = 'id_token.aud') => refused(`aud ${name}`, `an \`aud\` that is ${name}`, check, claim('aud', value));
const audience = [
  aud('an empty list', []), aud('an object', { daypass: true }), aud('a number', 1), aud('empty', ''), aud('null', null),
  aud('a list with a number in it', ['daypass', 1]), aud('in capitals', 'DAYPASS'), aud('ours with a blank behind it', 'daypass '), aud('a list in a text', '["daypass"]'),
  aud('longer than a list may be', Array.from({ length: 33 }, (_, i) => (i ? `client${i}` : 'daypass'))),
  accepted('aud of others beside ours, made for us', 'two audiences, `azp` is ours', { claims: (c) => ({ ...c, aud: ['another', 'daypass'], azp: 'daypass' }) }),
  refused('azp of another', 'an `azp` that is another client', 'id_token.azp', claim('azp', 'another')),
  refused('azp of another beside two audiences', 'two audiences, `azp` is the other', 'id_token.azp', { claims: (c) => ({ ...c, aud: ['daypass', 'another'], azp: 'another' }) }),
  refused('azp as a list', '`azp` as a list of ours', 'id_token.azp', claim('azp', ['daypass'])),
];

const odd = { 'a text': (t) => String(t), 'a number with a fraction': (t) => t + 0.5, 'a huge number': () => 1e300, 'beyond 64 bits': () => 2 ** 70, negative: () => -1, null: () => null, 'a list': (t) => [t], 'in milliseconds': (t) => t * 1000 };
const oddTimes = Object.entries({ exp: 300, iat: 0, nbf: 0, auth_time: 0 }).flatMap(([name, ahead]) => Object.entries(odd)
  // A time in milliseconds is a time far ahead: a token that expires then is valid, as long as somebody says that it may.
  .filter(([how]) => !(name === 'exp' && how === 'in milliseconds'))
  .map(([how, change]) => refused(`${name} ${how}`, `an \`${name}\` that is ${how}`, `id_token.${name}`, claim(name, () => change(now() + ahead)))));
const times = [
  ...oddTimes,
  refused('expired a moment ago', 'an `exp` 61 s ago, one second past the leeway', 'id_token.exp', { claims: (c) => ({ ...c, iat: now() - 400, exp: now() - 61 }) }),
  accepted('expired within the leeway', 'an `exp` 15 s ago', { claims: (c) => ({ ...c, iat: now() - 400, exp: now() - 15 }) }),
  refused('issued in the future', 'an `iat` ten minutes ahead', 'id_token.iat', claim('iat', () => now() + 600)),
  refused('issued long ago', 'an `iat` two days ago', 'id_token.iat', claim('iat', () => now() - 2 * day)),
  refused('not valid yet', 'an `nbf` ten minutes ahead', 'id_token.nbf', claim('nbf', () => now() + 600)),
  accepted('valid since just now', 'an `nbf` of now', claim('nbf', () => now())),
  refused('signed in in the future', 'an `auth_time` ten minutes ahead', 'id_token.auth_time', claim('auth_time', () => now() + 600)),
];

const sub = (name, value) => refused(`sub ${name}`, `a \`sub\` that is ${name}`, 'id_token.sub', claim('sub', value));
const subject = [
  sub('empty', ''), sub('256 characters long', 'x'.repeat(256)), sub('a number', 7), sub('null', null), sub('a list', ['dana']), sub('an object', { id: 'dana' }), sub('true', true),
  sub('not ASCII', 'd\u0430na'), sub('with a line break', 'dana\nadmin'), sub('with a NUL', 'dana\0admin'), sub('longer than a token may be', 'x'.repeat(40_000)),
  accepted('sub 255 characters long', 'a `sub` of 255 characters', claim('sub', 'x'.repeat(255)), { principal: 'x'.repeat(255) }),
];

const nonce = [
  refused('nonce empty', 'an empty `nonce`', 'id_token.nonce', claim('nonce', '')),
  refused('nonce a number', 'a `nonce` that is a number', 'id_token.nonce', claim('nonce', 1)),
  refused('nonce a list', 'the right `nonce`, in a list', 'id_token.nonce', claim('nonce', (c) => [c.nonce])),
  refused('nonce in capitals', 'the right `nonce` in other letters', 'id_token.nonce', claim('nonce', (c) => c.nonce.toUpperCase())),
];

const facts = [
  refused('at_hash a number', 'an `at_hash` that is a number', 'id_token.at_hash', claim('at_hash', 1)),
  refused('at_hash empty', 'an empty `at_hash`', 'id_token.at_hash', claim('at_hash', '')),
  refused('at_hash by another hash', 'an `at_hash` by SHA-512 in a token signed with RS256', 'id_token.at_hash', { claims: (c, issuer, accessToken) => ({ ...c, at_hash: halfHash('RS512', accessToken) }) }),
  refused('sid a number', 'a `sid` that is a number', 'id_token.sid', claim('sid', 7)),
  refused('acr a list', 'an `acr` that is a list', 'id_token.acr', claim('acr', ['mfa'])),
  refused('amr an object', 'an `amr` that is an object', 'id_token.amr', claim('amr', { mfa: true })),
  refused('groups an object', 'groups that are an object', 'mapping.type', claim('groups', { data: true })),
  refused('a department that is a list', 'an attribute that is mapped as a string, and is a list', 'mapping.type', claim('department', ['data', 'admins'])),
  refused('a group whose name is 1 MiB long', 'a token of 1 MiB', 'token_endpoint.too_large', claim('groups', ['x'.repeat(1 << 20)])),
];

const raw = (change) => ({ token: (_, issuer, h, c) => change(h, c) });
const signed = (h, p) => jws(h, p, key('rsa'), 'RS256');
const text = (c, more) => JSON.stringify(c).replace(/}$/, `,${more}}`);
const shape = [
  refused('two subs', 'a payload with two `sub`', 'id_token.syntax', raw((h, c) => signed(h, text(c, '"sub":"admin"')))),
  refused('two subs, one in escapes', 'a payload with two `sub`, one of them written in escapes', 'id_token.syntax', raw((h, c) => signed(h, text(c, '"\\u0073ub":"admin"')))),
  refused('two algs', 'a header with two `alg`', 'jws.header', raw((h, c) => signed(text(h, '"alg":"none"'), c))),
  refused('a payload that is a list', 'a payload that is a list of one', 'id_token.syntax', raw((h, c) => signed(h, [c]))),
  refused('a payload with words behind it', 'a payload of two objects', 'id_token.syntax', raw((h, c) => signed(h, `${JSON.stringify(c)}{"sub":"admin"}`))),
  refused('a payload that is not UTF-8', 'a payload with a byte that is no UTF-8', 'id_token.syntax', raw((h, c) => signed(h, Buffer.concat([Buffer.from(JSON.stringify(c).slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')])))),
  refused('a deep payload', 'a payload of 5,000 levels', 'id_token.syntax', raw((h, c) => signed(h, text(c, `"x":${'['.repeat(5000)}${']'.repeat(5000)}`)))),
  refused('a payload with 3,000 members', 'a payload of 3,000 members', 'id_token.syntax', raw((h, c) => signed(h, text(c, Array.from({ length: 3000 }, (_, i) => `"m${i}":0`).join())))),
  refused('an encrypted token', 'five parts (JWE)', 'jws.shape', raw((h) => `${b64(JSON.stringify({ ...h, enc: 'A256GCM' }))}.AAAA.AAAA.AAAA.AAAA`)),
  refused('two parts', 'a token without its third part', 'jws.shape', { token: (t) => t.slice(0, t.lastIndexOf('.')) }),
  refused('four parts', 'a token with a fourth part', 'jws.shape', { token: (t) => `${t}.AAAA` }),
  refused('a token as JSON', 'the JSON serialisation of the token', 'jws.shape', { token: (t) => { const [p, payload, signature] = t.split('.'); return JSON.stringify({ payload, protected: p, signature }); } }),
  refused('a token without a payload', 'detached content', 'jws.shape', { token: (t) => { const [h, , s] = t.split('.'); return `${h}..${s}`; } }),
  refused('base64 with padding', 'a signature with `=` behind it', 'jws.base64url', { token: (t) => `${t}==` }),
  refused('base64 in another spelling', 'a signature whose last letter has bits that say nothing', 'jws.base64url', { token: (t) => t.slice(0, -1) + { A: 'B', Q: 'R', g: 'h', w: 'x' }[t.at(-1)] }),
  refused('base64 with a line break', 'a line break in the payload', 'jws.base64url', { token: (t) => t.replace(/\.(..)/, '.$1\n') }),
  refused('a token of 100 KiB', 'a token longer than 64 KiB', 'jws.too_large', claim('groups', ['x'.repeat(75_000)])),
  refused('a header of 20 KiB', 'a header longer than 8 KiB', 'jws.header', header({ more: 'x'.repeat(20_000) })),
];

const alg = (name, value = name, more = {}) => refused(`alg ${name}`, `an \`alg\` of ${value}`, 'jws.alg_not_allowed', { ...header({ alg: value }), by: 'RS256', ...more });
const spki = (format) => key('rsa').publicKey.export({ type: 'spki', format });
const hmac = (name, secret) => refused(`HS256 with ${name}`, `HS256, its secret ${name}`, 'jws.alg_not_allowed', { ...header({ alg: 'HS256' }), secret: secret() });
const heads = (name, member, check) => refused(name, `a header with \`${JSON.stringify(member).slice(1, -1)}\``, check, header(member));
const attacker = key('rsa', 'attacker');
const byAttacker = { key: { ...attacker, kid: 'rsa-a' } };
const leads = (name, value, why) => refused(`${name} in the header`, `a header with \`${name}\`${why}`, 'jws.header_key', { ...header((h, issuer) => ({ [name]: value(issuer) })), ...byAttacker });
const algorithms = [
  alg('None'), alg('nOnE'), alg('empty', ''), alg('HS384'), alg('ES256K'), alg('RSA1_5'), alg('dir'), alg('rs256'), alg('RS256 with a NUL', 'RS256\0'),
  alg('RS384', 'RS384', { by: 'RS384' }), alg('RS512', 'RS512', { by: 'RS512' }), alg('PS384', 'PS384', { by: 'PS384' }),
  refused('alg none with a signature', '`alg: none` and the right RS256 signature', 'jws.alg_not_allowed', { ...header({ alg: 'none' }), by: 'RS256' }),
  refused('no alg', 'a header without `alg`', 'jws.alg_missing', { ...header({ alg: undefined }), by: 'RS256' }),
  refused('alg a list', '`alg` as a list', 'jws.alg_not_allowed', { ...header({ alg: ['RS256'] }), by: 'RS256' }),
  hmac('the public key in PEM', () => spki('pem')), hmac('the public key in DER', () => spki('der')), hmac('the public key as a JWK', () => JSON.stringify(key('rsa').jwk)),
  hmac('the client secret', () => 'client-secret-of-a-hostile-provider-0123'), hmac('empty', () => Buffer.alloc(0)),
  heads('crit', { crit: ['exp'] }, 'jws.crit'), heads('crit empty', { crit: [] }, 'jws.crit'),
  heads('b64', { b64: false }, 'jws.b64'), heads('b64 and crit', { b64: false, crit: ['b64'] }, ['jws.crit', 'jws.b64']),
  leads('jwk', () => attacker.jwk, ', and signed with that key'), leads('jku', (issuer) => `${issuer.op.origin}/led-astray`, ' that leads elsewhere'), leads('x5u', (issuer) => `${issuer.op.origin}/led-astray`, ' that leads elsewhere'),
  heads('x5c in the header', { x5c: ['AAAA'] }, 'jws.header_key'),
  heads('typ of an access token', { typ: 'at+jwt' }, 'id_token.typ'), heads('typ of a logout token', { typ: 'logout+jwt' }, 'id_token.typ'), heads('typ a number', { typ: 1 }, 'jws.header'),
  accepted('typ in small letters', 'a `typ` of "application/jwt"', header({ typ: 'application/jwt' })),
  accepted('no typ', 'a header without `typ`', header({ typ: undefined })),
];

export const tokens = [...iss, ...audience, ...times, ...subject, ...nonce, ...facts, ...shape, ...algorithms];
