// Owns keys and tokens: JSON Web Keys of every kind that a provider may publish, and compact JWS with a knob for every part.
import { createHash, createHmac, createSign, generateKeyPairSync, randomBytes, sign as signBytes, constants } from 'node:crypto';

export const b64 = (data) => Buffer.from(data).toString('base64url');
export const random = (bytes = 16) => randomBytes(bytes).toString('base64url');
export const now = () => Math.floor(Date.now() / 1000);

const kinds = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsa1024: () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  rsaE3: () => generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }),
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  k256: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  ed25519: () => generateKeyPairSync('ed25519'),
};
const made = new Map();

/** The key of this kind and name, made when it is asked for first: {kid, publicKey, privateKey, jwk}. */
export function key(kind, name = 'a') {
  const kid = `${kind}-${name}`;
  if (!made.has(kid)) {
    const pair = kinds[kind]();
    made.set(kid, { kid, ...pair, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' } });
  }
  return made.get(kid);
}

const rsa = (hash) => (text, k) => createSign(hash).update(text).sign(k.privateKey);
const pss = (hash, saltLength) => (text, k) => signBytes(hash, Buffer.from(text), { key: k.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
const ecdsa = (hash, dsaEncoding = 'ieee-p1363') => (text, k) => signBytes(hash, Buffer.from(text), { key: k.privateKey, dsaEncoding });
/** How each algorithm signs `text` with a key. Those with a secret take it as `k.secret`. */
export const algorithms = {
  RS256: rsa('sha256'), RS384: rsa('sha384'), RS512: rsa('sha512'), PS256: pss('sha256', 32), 'PS256 with a short salt': pss('sha256', 16), PS384: pss('sha384', 48),
  ES256: ecdsa('sha256'), ES384: ecdsa('sha384'), ES512: ecdsa('sha512'), ES256K: ecdsa('sha256'), 'ES256 in DER': ecdsa('sha256', 'der'),
  EdDSA: (text, k) => signBytes(null, Buffer.from(text), k.privateKey),
  HS256: (text, k) => createHmac('sha256', k.secret).update(text).digest(),
  none: () => Buffer.alloc(0),
};

/** The left half of the hash that belongs to `alg`, as in at_hash. */
export function halfHash(alg, text) {
  const digest = createHash(alg === 'EdDSA' ? 'sha512' : `sha${alg.slice(2)}`).update(text).digest();
  return b64(digest.subarray(0, digest.length / 2));
}

/**
 * A compact JWS. `by` names the algorithm that really signs, where the header names another; `header` and `payload` may be
 * texts, when an object can't say it.
 */
export function jws(header, payload, k, by = header.alg) {
  const text = (value) => b64(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
  const signed = `${text(header)}.${text(payload)}`;
  return `${signed}.${b64(algorithms[by](signed, k))}`;
}
