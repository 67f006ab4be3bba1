// Owns the verdict of npm @node-saml/node-saml: a stand-in while there is no Daypass, and one of the differential's judges.
// It believes the process's clock, so a caller of `atTime` lives at the world's instant from then on.
import { SAML } from '@node-saml/node-saml';
import { world } from './forge.mjs';

// Its parser says on the console what it thinks of broken documents, and most of ours are.
const { warn, error } = console;
console.warn = (...words) => { if (!String(words[0]).startsWith('[xmldom')) warn(...words); };
console.error = (...words) => { if (!String(words[0]).startsWith('[xmldom')) error(...words); };

/** Sets the process's clock, for good. */
export function atTime(now) {
  const fixed = Date.parse(now);
  globalThis.Date = class extends Date {
    constructor(...parts) { if (parts.length) super(...parts); else super(fixed); }
    static now() { return fixed; }
  };
}

/**
 * @param certificates PEM of the identity provider's signing keys
 * @param assertionsSigned the assertion's own signature counts, even under the Response's
 * @param requestId the request that was sent; null accepts a response that nobody asked for, and no other
 */
export class NodeSaml {
  constructor({ certificates, spKey, spEntityId = world.sp, acs = world.acs, issuer = world.idp, requestId = world.request, assertionsSigned = false }) {
    const requests = { saveAsync: async () => null, getAsync: async (id) => (id === requestId ? world.now : null), removeAsync: async () => null };
    this.saml = new SAML({
      callbackUrl: acs, issuer: spEntityId, audience: spEntityId, idpCert: certificates, idpIssuer: issuer, decryptionPvk: spKey,
      wantAssertionsSigned: assertionsSigned, wantAuthnResponseSigned: false, validateInResponseTo: 'ifPresent', acceptedClockSkewMs: 60000, cacheProvider: requests,
    });
  }

  /** {ok, identity} or {ok: false, message}, for the base64 of a response. */
  async verdict(base64) {
    try {
      const { profile } = await this.saml.validatePostResponseAsync({ SAMLResponse: base64 });
      if (!profile) return { ok: false, message: 'no profile' };
      const attributes = Object.fromEntries(Object.entries(profile.attributes ?? {}).map(([name, v]) => [name, [v].flat()]));
      return { ok: true, identity: { issuer: profile.issuer, name_id: profile.nameID, session_indexes: [profile.sessionIndex], assertion_id: profile.getAssertion().Assertion.$.ID, attributes } };
    } catch (e) {
      return { ok: false, message: String(e?.message ?? e).split('\n')[0] };
    }
  }
}
