// Owns key sets: keys that nothing may be verified with, keys that more than one token names, and signatures in other shapes.
import { accepted, header, key, refused } from './tools.mjs';
import { b64, jws } from '../forge.mjs';

const set = (change) => ({ jwks: (keys) => change(keys) });
const published = (name, sends, change, check = 'jwks.no_keys', more = {}) => refused(name, sends, check, set(change), { fresh: true, ...more });
const lone = (name, sends, change, more) => published(name, sends, ([k]) => [change(k)], 'jwks.no_keys', more);
const weak = (kind, name, sends) => refused(name, sends, 'jwks.no_keys', { jwks: () => [key(kind).jwk], key: key(kind), alg: 'RS256' }, { fresh: true });

const unfit = [
  weak('rsa1024', 'RSA of 1024 bits', 'one RSA key of 1024 bits, and a token signed with it'),
  weak('rsaE3', 'RSA with e = 3', 'one RSA key with the exponent 3, and a token signed with it'),
  lone('RSA with e = 1', 'one RSA key with the exponent 1', (k) => ({ ...k, e: 'AQ' })),
  lone('RSA with an even modulus', 'one RSA key that is no RSA key', (k) => ({ ...k, n: b64(Buffer.from(k.n, 'base64url').map((b, i, all) => (i === all.length - 1 ? b & 0xfe : b))) })),
  lone('RSA of 16,384 bits', 'one RSA key of 16,384 bits', (k) => ({ ...k, n: b64(Buffer.alloc(2048, 0xff)) })),
  lone('a private key', 'the private half of the key, published', (k) => ({ ...k, d: 'AAAA' })),
  lone('a symmetric key', 'a symmetric key', () => ({ kty: 'oct', kid: 'rsa-a', k: b64('0123456789abcdef0123456789abcdef') })),
  lone('a key for encryption', 'a key with `use: enc`', (k) => ({ ...k, use: 'enc' })),
  lone('a key that verifies nothing', 'a key with `key_ops: ["encrypt"]`', (k) => ({ ...k, use: undefined, key_ops: ['encrypt'] })),
  lone('a key of another algorithm', 'a key with `alg: RS512`', (k) => ({ ...k, alg: 'RS512' })),
  lone('kid a number', 'a key whose `kid` is a number', (k) => ({ ...k, kid: 7 })),
  published('a point off the curve', 'a P-256 key whose point is on no curve', ([k]) => [{ ...k, y: k.x }], 'jwks.no_keys', { keys: [key('p256')] }),
  published('a coordinate cut short', 'a P-256 key with a coordinate of 31 bytes', ([k]) => [{ ...k, y: b64(Buffer.from(k.y, 'base64url').subarray(1)) }], 'jwks.no_keys', { keys: [key('p256')] }),
  published('Ed25519 of small order', 'an Ed25519 key of small order, for which anybody can sign', ([k]) => [{ ...k, x: b64(Buffer.from('01'.padEnd(64, '0'), 'hex')) }], 'jwks.no_keys', { keys: [key('ed25519')] }),
  published('P-521', 'a key of P-521 and ES512', () => [key('p521').jwk]),
  published('secp256k1', 'a key of secp256k1', () => [key('k256').jwk]),
  published('no keys', 'a key set without keys', () => []),
];

const documents = [
  published('keys that are no list', 'a key set whose `keys` is an object', () => ({ keys: { a: key('rsa').jwk } }), 'jwks.shape'),
  published('a bare key', 'a key in the place of the key set', () => key('rsa').jwk, 'jwks.shape'),
  published('65 keys', 'a key set of 65 keys', ([k]) => [k, ...Array.from({ length: 64 }, (_, i) => ({ ...k, kid: `k${i}` }))], 'jwks.too_many_keys'),
  accepted('64 keys', 'a key set of 64 keys, the last of which signs', set(([k]) => [...Array.from({ length: 63 }, (_, i) => ({ ...k, kid: `k${i}` })), k]), { fresh: true }),
  published('10,000 keys', 'a key set of 10,000 keys', ([k]) => [k, ...Array.from({ length: 10_000 }, (_, i) => ({ ...k, kid: `k${i}` }))], 'jwks.too_large'),
  published('10,000 small keys', 'a key set of 10,000 keys of a few bytes', ([k]) => [k, ...Array.from({ length: 10_000 }, () => ({ kty: 'x' }))], ['jwks.syntax', 'jwks.too_many_keys']),
];

const b = key('rsa', 'b');
const named = (name, n) => set((keys) => [...Array.from({ length: n - 1 }, (_, i) => ({ ...key('rsa', 'bcdef'[i]).jwk, kid: keys[0].kid })), keys[0]]);
const names = [
  accepted('four keys of one name', 'four keys with the same `kid`, the last of which signs', named('rsa-a', 4), { fresh: true }),
  refused('five keys of one name', 'five keys with the same `kid`', 'jws.key_ambiguous', named('rsa-a', 5), { fresh: true }),
  refused('the name of another key', 'the `kid` of one of its keys, and the signature of another', 'jws.signature', { key: { ...b, kid: 'rsa-a' } }, { keys: [key('rsa'), b] }),
  refused('a key of another type', 'RS256 under the `kid` of a P-256 key', 'jws.alg_key_mismatch', { ...header({ alg: 'RS256', kid: 'p256-a' }), by: 'RS256' }, { keys: [key('rsa'), key('p256')] }),
  refused('an algorithm that the key is not for', 'PS256 by a key with `alg: RS256`', 'jws.alg_key_mismatch', { alg: 'PS256' }, { keys: [{ ...key('rsa'), jwk: { ...key('rsa').jwk, alg: 'RS256' } }] }),
  refused('a kid that nobody has', 'a `kid` that is not published', 'jws.kid_unknown', header({ kid: 'nobody' })),
  refused('an empty kid', 'an empty `kid`, and a key without one', 'jws.kid_unknown', header({ kid: '' }), { keys: [{ ...key('rsa'), jwk: { ...key('rsa').jwk, kid: undefined } }], truth: header({ kid: undefined }) }),
  refused('a kid that is a path', 'a `kid` of ../../../../dev/null', 'jws.kid_unknown', header({ kid: '../../../../dev/null' })),
  refused('a kid that is SQL', 'a `kid` of x\' UNION SELECT \'secret', 'jws.kid_unknown', header({ kid: "x' UNION SELECT 'secret" })),
  refused('a kid of 5,000 characters', 'a `kid` of 5,000 characters', 'jws.kid_unknown', header({ kid: 'k'.repeat(5000) })),
  refused('a kid that is an object', 'a `kid` that is an object', 'jws.header', header({ kid: { $ne: null } })),
  refused('a key that nobody published', 'the right `kid`, and a signature by a stranger', 'jws.signature', { key: { ...key('rsa', 'attacker'), kid: 'rsa-a' } }),
];

const zero = (size) => ({ token: (t) => `${t.slice(0, t.lastIndexOf('.'))}.${b64(Buffer.alloc(size))}` });
const fits = (alg, kind) => accepted(alg, `a token signed with ${alg}`, { alg }, { keys: [key(kind)] });
const signatures = [
  fits('PS256', 'rsa'), fits('ES256', 'p256'), fits('ES384', 'p384'), fits('EdDSA', 'ed25519'),
  refused('ES256 in DER', 'an ES256 signature in DER', 'jws.signature', { by: 'ES256 in DER' }, { keys: [key('p256')] }),
  refused('ES256 of zeros', 'an ES256 signature with r = s = 0', 'jws.signature', zero(64), { keys: [key('p256')] }),
  refused('EdDSA of zeros', 'an EdDSA signature of zeros', 'jws.signature', zero(64), { keys: [key('ed25519')] }),
  refused('RS256 of zeros', 'an RS256 signature of zeros', 'jws.signature', zero(256)),
  refused('no signature', 'an empty signature', 'jws.signature', zero(0)),
  refused('a payload changed after it was signed', 'another `sub` than the one that was signed', 'jws.signature', { token: (t, issuer, h, c) => { const [head, , s] = t.split('.'); return `${head}.${b64(JSON.stringify({ ...c, sub: 'admin' }))}.${s}`; } }),
  refused('a header changed after it was signed', 'another header than the one that was signed', 'jws.signature', { token: (t, issuer, h) => [b64(JSON.stringify({ ...h, cty: 'JWT' })), ...t.split('.').slice(1)].join('.') }),
  refused('PS256 called RS256', 'a PS256 signature, called RS256', 'jws.signature', { by: 'PS256' }),
  refused('a salt of another length', 'a PS256 signature with a salt of 16 bytes', 'jws.signature', { alg: 'PS256', token: (t, issuer, h, c) => jws(h, c, key('rsa'), 'PS256 with a short salt') }),
];

export const keys = [...unfit, ...documents, ...names, ...signatures];
