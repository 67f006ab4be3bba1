// Owns what comes back by the browser: mixed up, doubled, replayed, another's, or an error.
import { accepted, refused } from './tools.mjs';

const changed = (name, sends, check, back, more = {}) => refused(name, sends, check, { back }, more);
const doubled = (name, at, other) => changed(`two of ${name}${other ? '' : ', the same'}`, `\`${name}\` twice${other ? ', with two values' : ''}`, name === 'state' ? 'login.state' : 'oidc.duplicate_parameter', (p) => [...p, [p[at][0], other ? 'another' : p[at][1]]]);
const parameters = [
  doubled('state', 1, true), doubled('code', 0, true), doubled('iss', 2, true), doubled('state', 1, false), doubled('code', 0, false), doubled('iss', 2, false),
  changed('an empty state before the true one', 'an empty `state`, and then the right one', 'oidc.duplicate_parameter', (p) => [['state', ''], ...p]),
  changed('two of what nobody knows', 'an unknown parameter twice', 'oidc.duplicate_parameter', (p) => [...p, ['session_state', 'a'], ['session_state', 'b']]),
  accepted('what nobody knows', 'an unknown parameter', { back: (p) => [...p, ['session_state', 'a']] }),
  changed('no code', 'no `code`', 'oidc.code', ([, ...p]) => p),
  changed('an empty code', 'an empty `code`', 'oidc.code', ([, ...p]) => [['code', ''], ...p]),
  changed('a code with a line break', 'a `code` with a line break', 'oidc.code', ([[, code], ...p]) => [['code', `${code}\r\nx: y`], ...p]),
  changed('a code of 9,000 characters', 'a `code` of 9,000 characters', 'oidc.code', ([, ...p]) => [['code', 'c'.repeat(9000)], ...p]),
  changed('a posted answer', 'the answer by form_post, which was not asked for', 'login.state', (p) => p, { post: true }),
  changed('100 parameters', '100 parameters', 'oidc.too_large', (p) => [...p, ...Array.from({ length: 100 }, (_, i) => [`p${i}`, ''])]),
  changed('an empty state', 'an empty `state`', 'login.state', ([code, , iss]) => [code, ['state', ''], iss]),
  changed('an empty iss', 'an empty `iss`', 'oidc.iss', ([code, state]) => [code, state, ['iss', '']]),
  changed('iss with a slash behind it', 'an `iss` that ends in a slash', 'oidc.iss', ([code, state, [, iss]]) => [code, state, ['iss', `${iss}/`]]),
];

const error = (name, code, { hint, more = [], ...rest } = {}) => changed(`error ${name}`, `\`error=${code}\``, 'oidc.idp_error', ([, state, iss]) => [['error', code], ...more, state, iss], { hint, ...rest });
const errors = [
  error('access_denied', 'access_denied', { hint: /cancelled|does not let/ }), error('temporarily_unavailable', 'temporarily_unavailable', { hint: /try again later/ }), error('login_required', 'login_required', { hint: /sign in again/ }),
  error('that draws', '<b>x', { more: [['error_description', '<script>alert(1)</script>\u202e']], shows: (page) => !/<script>alert|<b>x|\u202e/.test(page) }),
  error('that talks for ever', 'access_denied', { more: [['error_description', 'x'.repeat(4000)]], shows: (page) => !/x{300}/.test(page) }),
  changed('an error beside a code', 'an error and a good code', 'oidc.idp_error', (p) => [...p, ['error', 'access_denied']]),
  changed('an error of another issuer', 'an error with another `iss`', 'oidc.iss', ([, state]) => [['error', 'access_denied'], state, ['iss', 'https://evil.example']]),
  changed('an error without iss', 'an error without the promised `iss`', 'oidc.iss_missing', ([, state]) => [['error', 'access_denied'], state]),
  changed('an error without state', 'an error without `state`', 'login.state', ([, , iss]) => [['error', 'access_denied'], iss]),
];

/** An honest sign-in, begun and answered but not brought back. */
async function answered(world, place, options) {
  const begun = await world.begin(place, options);
  return { begun, back: place.issuer.authorize(begun.url).back };
}
/** A module whose lie is in what the browser does: `drive` for the lie, a plain sign-in for the twin. */
const played = (name, sends, check, drive, more = {}) => refused(name, sends, check, {}, { drive: (world, place, lied) => (lied ? drive(world, place) : world.signIn(place)), ...more });
const browser = [
  played('A\'s answer at B', 'code and state of one provider, brought to the callback of another', 'login.mix_up', async (world, place) => {
    const { begun, back } = await answered(world, place);
    return world.callback(begun, back, { idp: 'home' });
  }),
  played('A\'s answer at another tenant', 'code and state of one tenant, brought to another tenant', 'login.state', async (world, place) => {
    const { begun, back } = await answered(world, place);
    return world.callback(begun, back, { idp: 'home', tenant: world.tenants.find((t) => t !== place.tenant) });
  }),
  played('an attacker\'s issuer answers', 'the answer of an attacker\'s provider for a login at an honest one (RFC 9207)', 'oidc.iss', async (world, place) => {
    const { begun, back: [code, state] } = await answered(world, place);
    return world.callback(begun, [code, state, ['iss', place.tenant.home.url]]);
  }),
  played('another browser', 'an answer brought by a browser that began another login', 'login.browser', async (world, place) => {
    const { begun, back } = await answered(world, place);
    const other = await world.begin(place);
    return world.callback(begun, back, { cookie: other.cookie });
  }),
  played('a browser without cookie', 'an answer brought by a browser that began nothing', 'login.browser', async (world, place) => {
    const { begun, back } = await answered(world, place);
    return world.callback(begun, back, { cookie: null });
  }),
  played('the same answer again', 'code and state a second time', 'login.state', async (world, place) => {
    const { begun, back } = await answered(world, place);
    const first = await world.redeem(begun, await world.callback(begun, back));
    if (!first.accepted) return { broken: `the first time: ${first.check}` };
    return world.callback(begun, back);
  }),
  played('the same answer twenty times at once', 'code and state twenty times in parallel', 'login.state', async (world, place) => {
    const { begun, back } = await answered(world, place);
    const all = await Promise.all(Array.from({ length: 20 }, () => world.callback(begun, back)));
    const good = all.filter((o) => o.accepted).length;
    if (good !== 1) return { broken: `${good} of twenty were accepted` };
    return all.find((o) => !o.accepted && o.check !== 'login.state') ?? all.find((o) => !o.accepted);
  }),
  played('another login\'s code', 'the code of one login with the state of another, at a provider that checks PKCE', 'token_endpoint.refused', async (world, place) => {
    const victim = await answered(world, place);
    const mine = await answered(world, place);
    return world.callback(mine.begun, [victim.back[0], ...mine.back.slice(1)]);
  }),
  played('another login\'s code, PKCE unchecked', 'the same at a provider that takes every code', 'id_token.nonce', async (world, place) => {
    const victim = await answered(world, place);
    place.issuer.lies.claims = (c) => ({ ...c, nonce: new URL(victim.begun.url).searchParams.get('nonce') });
    place.issuer.lies.anyCode = true;
    const mine = await answered(world, place);
    return world.callback(mine.begun, [victim.back[0], ...mine.back.slice(1)]);
  }),
  played('another login\'s ID token', 'an ID token of an earlier login', 'id_token.nonce', async (world, place) => {
    let old;
    place.issuer.lies.token = (t) => { old = t; return t; };
    const first = await world.signIn(place);
    if (!first.accepted) return { broken: `the first time: ${first.check}` };
    place.issuer.lies.token = () => old;
    place.issuer.lies.claims = undefined;
    return world.signIn(place);
  }),
  played('a failed try uses the state up', 'the true answer behind a spoilt one', 'login.state', async (world, place) => {
    const { begun, back } = await answered(world, place);
    const spoilt = await world.callback(begun, [['code', 'wrong'], ...back.slice(1)]);
    if (spoilt.check !== 'token_endpoint.refused') return { broken: `the spoilt one: ${spoilt.check}` };
    return world.callback(begun, back);
  }),
];

export const callback = [...parameters, ...errors, ...browser];
