// Owns the words that the tables of modules are written in.
//   {name, of, sends, lies, truth, keys, idp, person, refuse, accept, drive, fresh, claims}
// of: modules of the conformance suite that send the same. sends: what the provider does, for the README.
// lies: what is told to the issuer (provider.mjs). truth: the same for the twin, where it is not nothing; both have it.
// keys: the issuer's keys, the first of which signs. idp: further lines of its settings.
// refuse: the check that must refuse it, or several where either may speak first. accept: it looks odd and is right.
// drive: what is done instead of one sign-in; gives its outcome. fresh: the lie has an issuer of its own, because the twin's
// metadata and keys are remembered. verify: what else must be true of an outcome.
import { key } from '../forge.mjs';

const short = { o: 'oidcc-client-test-', f: 'fapi2-security-profile-final-client-test-' };
/** Names of the suite's modules: "o:invalid-iss" for oidcc-client-test-invalid-iss, "f:" for the FAPI 2 client modules. */
export const suite = (...names) => names.map((n) => (n === 'o:' ? 'oidcc-client-test' : n.replace(/^([of]):/, (_, s) => short[s])));

export const refused = (name, sends, refuse, lies, more = {}) => ({ name, sends, refuse: [refuse].flat(), lies, of: [], ...more });
export const accepted = (name, sends, lies, more = {}) => ({ name, sends, accept: true, lies, of: [], ...more });
/** One claim of the ID token is `value`; undefined: it is not there. */
export const claim = (name, value) => ({ claims: (c, issuer) => ({ ...c, [name]: typeof value === 'function' ? value(c, issuer) : value }) });
export const header = (change) => ({ header: (h, issuer) => ({ ...h, ...(typeof change === 'function' ? change(h, issuer) : change) }) });
/** Answers `path` with these bytes. */
export const answer = (path, body, { status = 200, type = 'application/json', headers = {} } = {}) => ({
  at: { [path]: (req, res, issuer) => { res.writeHead(status, { ...(type && { 'content-type': type }), ...headers }); res.end(typeof body === 'function' ? body(issuer) : body); } },
});
export { key };
