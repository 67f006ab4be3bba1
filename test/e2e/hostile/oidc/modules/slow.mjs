// Owns what takes long: endpoints that dribble or say nothing, and keys that change, which are fetched again ten seconds after
// the last time and no sooner. All run beside the rest, in tenants of their own.
import { accepted, refused, suite } from './tools.mjs';
import { key } from '../forge.mjs';

const endpoint = { discovery: 'discovery', jwks: 'jwks', token: 'token_endpoint', userinfo: 'userinfo' };
/** Sends `head` and then `piece` every 100 ms, until the other side hangs up. */
const dribble = (path, head, piece) => ({
  at: { [path]: (req) => {
    const { socket } = req;
    socket.on('error', () => {});
    if (head) socket.write(head);
    if (!piece) return;
    const timer = setInterval(() => { if (!socket.destroyed) socket.write(piece); }, 100);
    socket.on('close', () => clearInterval(timer));
  } },
});
const kinds = {
  'says nothing': () => [], 'dribbles its headers': () => ['HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-more: ', 'x'], 'dribbles its body': () => ['HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{', ' '],
};
/** The longest that a sign-in may wait for a provider: its budget, and time for a busy machine. */
export const patience = 15_000 + 10_000;
const late = Object.keys(endpoint).flatMap((path) => Object.entries(kinds).map(([how, pieces]) => refused(`${path} ${how}`, `the ${path} endpoint ${how}`, `${endpoint[path]}.fetch`, dribble(path, ...pieces()), {
  fresh: true, alone: true, apart: 'slow', idp: path === 'userinfo' ? 'userinfo = true\n' : '',
  drive: async (world, place, lied) => {
    const began = Date.now();
    const outcome = await world.signIn(place);
    const took = Date.now() - began;
    return lied && took > patience ? { broken: `it took ${took} ms` } : outcome;
  },
})));

const keysAre = (issuer, k) => { issuer.keys = [k]; };
/** Signs in, waits until keys may be fetched again, and signs in with keys that `change` at the step it names. */
const rotated = (step) => async (world, place, lied) => {
  if (!lied) return world.signIn(place);
  const { issuer } = place;
  const first = await world.signIn(place);
  if (!first.accepted) return first;
  await world.tenSecondsLater();
  const asked = issuer.asked.jwks;
  if (step === 'authorize') keysAre(issuer, key('rsa', 'b'));
  if (step === 'token') issuer.lies.tokens = (t) => { keysAre(issuer, key('rsa', 'c')); return { ...t, id_token: issuer.idToken(issuer.last.nonce, t.access_token) }; };
  const second = await world.signIn(place);
  return second.accepted && issuer.asked.jwks !== asked + 1 ? { broken: `the keys were fetched ${issuer.asked.jwks - asked} times` } : second;
};
const rotation = [
  accepted('keys rotated between two sign-ins', 'new keys before the second sign-in, the old ones gone', {}, { drive: rotated('authorize'), alone: true, apart: 'rotation', of: suite('o:signing-key-rotation') }),
  accepted('keys rotated just before signing', 'new keys between code and token, the old ones gone', {}, { drive: rotated('token'), alone: true, apart: 'rotation', of: suite('o:signing-key-rotation-just-before-signing') }),
  accepted('a key changed under its name', 'another key under the same `kid`', {}, { alone: true, apart: 'rotation', drive: async (world, place, lied) => {
    const first = await world.signIn(place);
    if (!lied || !first.accepted) return first;
    await world.tenSecondsLater();
    const k = key('rsa', 'b');
    keysAre(place.issuer, { ...k, kid: 'rsa-a', jwk: { ...k.jwk, kid: 'rsa-a' } });
    return world.signIn(place);
  } }),
];

const flooded = (name, sends, check, lie) => refused(name, sends, check, {}, { alone: true, apart: 'flood', drive: async (world, place, lied) => {
  const { issuer } = place;
  if (!lied) return world.signIn(place);
  const [asked, began] = [issuer.asked.jwks, Date.now()];
  const outcomes = [];
  for (let i = 0; i < 40; i += 1) {
    issuer.lies = lie(i);
    outcomes.push(await world.signIn(place));
  }
  issuer.lies = {};
  const most = 1 + Math.floor((Date.now() - began) / 10_000) + 1;
  if (issuer.asked.jwks - asked > most) return { broken: `the keys were fetched ${issuer.asked.jwks - asked} times for 40 tokens, at most ${most} are right` };
  const honest = await world.signIn(place);
  if (!honest.accepted) return { broken: `an honest token behind the flood: ${honest.check}` };
  return outcomes.find((o) => o.check !== check) ?? outcomes[0];
} });
const floods = [
  flooded('a flood of kids', '40 tokens, each with a `kid` of its own', 'jws.kid_unknown', (i) => ({ header: (h) => ({ ...h, kid: `flood-${i}` }) })),
  flooded('a flood of bad signatures', '40 tokens with a stranger\'s signature', 'jws.signature', () => ({ key: { ...key('rsa', 'attacker'), kid: 'rsa-a' } })),
];

const broken = [
  refused('a flood of sign-ins at a broken issuer', '40 sign-ins where discovery answers 500', 'discovery.status', { at: { discovery: (req, res) => { res.writeHead(500); res.end(); } } }, { fresh: true, alone: true, apart: 'flood', drive: async (world, place, lied) => {
    if (!lied) return world.signIn(place);
    const began = Date.now();
    let last;
    for (let i = 0; i < 40; i += 1) last = await world.signIn(place);
    const most = 2 + Math.floor((Date.now() - began) / 1000);
    return place.issuer.asked.discovery > most ? { broken: `discovery was asked for ${place.issuer.asked.discovery} times, at most ${most} are right` } : last;
  } }),
];

export const slow = [...late, ...rotation, ...floods, ...broken];
