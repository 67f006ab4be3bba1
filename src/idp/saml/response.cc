#include "idp/saml/response.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "crypto/xml_encryption.h"
#include "idp/printable.h"
#include "idp/saml/names.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::WallTime;
using crypto::xml::Document;
using crypto::xml::dsig_ns;
using crypto::xml::Element;
using crypto::xml::Limits;
using crypto::xml::trimmed;
namespace json = base::json;

namespace {

constexpr Limits limits{.bytes = max_response_bytes, .depth = 32, .elements = 8000, .attributes = 64};
constexpr std::size_t max_attributes = 256;
constexpr std::size_t max_values = 4096;
constexpr std::size_t max_name = 1024;
constexpr std::size_t max_confirmations = 8;
constexpr std::size_t max_sessions = 64;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "saml." + std::move(check), std::move(message), std::move(hint)};
}

std::string shown(std::string_view text) {
  return json::quote(printable(text, 120));
}

bool is_saml(const Element& element, std::string_view name) {
  return element.is(assertion_ns, name);
}

/// Elements without children: text only, to the byte. Blanks around a name are refused by whoever compares it.
Result<std::string> text_of(const Element& element) {
  if (!element.children.empty()) return bad("shape", "elements where text belongs, in " + element.name);
  return element.text;
}

/// Children by name, in this order: how often each may occur. Whatever else there is, is refused.
struct Slot {
  std::string_view ns;
  std::string_view name;
  std::size_t least;
  std::size_t most;
};
Status check_children(const Element& parent, std::span<const Slot> slots) {
  const Error error = bad("shape", parent.name + " is not laid out as SAML 2.0 has it");
  if (!parent.only_elements()) return error;
  std::size_t at = 0;
  for (const Slot& slot : slots) {
    std::size_t n = 0;
    for (; at < parent.children.size() && parent.children[at].is(slot.ns, slot.name); ++at) ++n;
    if (n < slot.least || n > slot.most) return error;
  }
  if (at != parent.children.size()) return error;
  return {};
}

/// No element of this kind anywhere below: what is nested is what somebody else may have put there.
bool holds(const Element& element, std::string_view ns, std::string_view name) {
  return std::ranges::any_of(element.children,
                             [&](const Element& child) { return child.is(ns, name) || holds(child, ns, name); });
}

// Of all that hides assertions the one that has a name: it is told from the rest.
Status check_no_advice(const Element& element) {
  if (!holds(element, assertion_ns, "Advice")) return {};
  return bad("advice", "the assertion holds Advice, which is refused",
             "switch advice off at the identity provider: nothing in Daypass reads it");
}

Status check_version(const Element& element) {
  const std::string* version = element.attribute("Version");
  if (version == nullptr || *version != "2.0") return bad("version", element.name + " is not of SAML version 2.0");
  return {};
}

// saml-core section 3.2.2 and 3.3.3, with exactly one assertion, and without extensions, which nobody here reads.
Status check_response_shape(const Element& response) {
  if (!response.is(protocol_ns, "Response")) return bad("shape", "the root element is no SAML 2.0 Response");
  DP_CHECK(check_version(response));
  DP_CHECK(check_no_advice(response));
  const std::string* id = response.attribute("ID");
  if (id == nullptr || id->empty()) return bad("shape", "the Response has no ID");
  const std::size_t assertions =
      response.count(assertion_ns, "Assertion") + response.count(assertion_ns, "EncryptedAssertion");
  const Element* status = response.child(protocol_ns, "Status");
  const bool failed = status != nullptr && assertions == 0;
  if (assertions > 1) return bad("assertions", "the Response holds more than one assertion");
  const std::array slots = {Slot{assertion_ns, "Issuer", 0, 1}, Slot{dsig_ns, "Signature", 0, 1},
                            Slot{protocol_ns, "Status", 1, 1}, Slot{assertion_ns, "EncryptedAssertion", 0, 1},
                            Slot{assertion_ns, "Assertion", 0, 1}};
  DP_CHECK(check_children(response, slots));
  if (failed) return {};
  if (assertions != 1) return bad("assertions", "the Response holds no assertion");
  return {};
}

// saml-core section 2.3.3. Statements may come in any order after the rest.
Status check_assertion_shape(const Element& assertion) {
  if (!is_saml(assertion, "Assertion")) return bad("shape", "no SAML 2.0 Assertion where one belongs");
  DP_CHECK(check_version(assertion));
  if (!assertion.only_elements()) return bad("shape", "text between the elements of the Assertion");
  DP_CHECK(check_no_advice(assertion));
  for (const std::string_view name : {"Subject", "Conditions"})
    if (assertion.count(assertion_ns, name) > 1)
      return bad("shape", "the assertion has more than one " + std::string(name));
  if (holds(assertion, assertion_ns, "Assertion") || holds(assertion, assertion_ns, "EncryptedAssertion"))
    return bad("assertions", "the assertion holds another one");
  std::size_t at = 0;
  const auto step = [&](std::string_view ns, std::string_view name) {
    if (at == assertion.children.size() || !assertion.children[at].is(ns, name)) return false;
    ++at;
    return true;
  };
  if (!step(assertion_ns, "Issuer")) return bad("shape", "the Assertion does not begin with its Issuer");
  step(dsig_ns, "Signature");
  if (!step(assertion_ns, "Subject")) return bad("subject", "the assertion has no Subject");
  if (!step(assertion_ns, "Conditions")) return bad("conditions", "the assertion has no Conditions");
  for (; at < assertion.children.size(); ++at)
    if (!is_saml(assertion.children[at], "AuthnStatement") && !is_saml(assertion.children[at], "AttributeStatement"))
      return bad("shape", "the Assertion is not laid out as SAML 2.0 has it");
  return {};
}

// A signature may stand in the Response and in the Assertion, nowhere else.
Status check_signature_places(const Element& element, bool may) {
  for (const Element& child : element.children) {
    if (child.is(dsig_ns, "Signature")) {
      if (!may) return bad("shape", "a signature where none belongs");
      continue;  // its inside is looked at when it is verified
    }
    const bool assertion = is_saml(child, "Assertion");
    DP_CHECK(check_signature_places(child, assertion));
  }
  return {};
}

/// The one ID of each: two elements of the same name are two documents in one.
Status collect_ids(const Element& element, std::vector<std::string>& ids) {
  if (const std::string* id = element.attribute("ID")) ids.push_back(*id);
  for (const Element& child : element.children) DP_CHECK(collect_ids(child, ids));
  return {};
}
Status check_ids(const Element& root) {
  std::vector<std::string> ids;
  DP_CHECK(collect_ids(root, ids));
  std::ranges::sort(ids);
  if (std::ranges::adjacent_find(ids) != ids.end()) return bad("shape", "two elements have one ID");
  return {};
}

/// Something to read, and the document that it lives in.
struct Held {
  Document document;
  const Element* element = nullptr;
};

Result<Held> parse_anew(std::string_view octets) {
  DP_TRY(auto document, Document::parse(octets, limits));
  const Element* root = &document.root();
  return Held{std::move(document), root};
}

const Element* assertion_in(const Element& response) {
  const Element* plain = response.child(assertion_ns, "Assertion");
  return plain != nullptr ? plain : response.child(assertion_ns, "EncryptedAssertion");
}

// One element that stands by itself. A plaintext that leans on prefixes of the document around it is refused: others
// read it in other ways.
Result<Held> decrypted(const Element& encrypted, std::span<const KeyPair> keys) {
  DP_TRY(const std::string plain, crypto::xml::decrypt(encrypted, keys));
  const Error failed{Code::invalid, "xmlenc.decrypt", "the assertion could not be decrypted",
                     "check that the identity provider encrypts for the key in Daypass's metadata"};
  auto parsed = Document::parse(plain, limits);
  // What the plaintext is, only its signature may tell: until then there is one answer.
  if (!parsed.ok()) return failed;
  const Element* root = &parsed->root();
  return Held{std::move(*parsed), root};
}

/// The assertion that a key of the provider vouches for, and whether the Response around it is vouched for, too.
struct Believed {
  Held response;
  Held assertion;
  bool response_signed = false;
  bool assertion_signed = false;
};

Result<Believed> believe(std::string_view xml, const Expected& expected) {
  DP_TRY(auto first, parse_anew(xml));
  DP_CHECK(check_response_shape(*first.element));
  DP_CHECK(check_signature_places(*first.element, true));
  DP_CHECK(check_ids(*first.element));
  Believed out{first, {first.document, nullptr}};
  if (crypto::xml::signature_of(*first.element) != nullptr) {
    DP_TRY(const std::string octets, crypto::xml::verify_enveloped(first.document, *first.element, expected.keys));
    DP_TRY(out.response, parse_anew(octets));
    DP_CHECK(check_response_shape(*out.response.element));
    out.response_signed = true;
  }
  const Element* assertion = assertion_in(*out.response.element);
  if (assertion == nullptr) return out;  // a refusal, which its status explains
  out.assertion = {out.response.document, assertion};
  if (is_saml(*assertion, "EncryptedAssertion")) {
    if (crypto::xml::is_unauthenticated(*assertion) && !out.response_signed)
      return bad("unauthenticated_encryption",
                 "the assertion is encrypted in CBC mode inside a Response that is not signed",
                 "set the identity provider to AES-GCM, or to sign the Response");
    DP_TRY(out.assertion, decrypted(*assertion, expected.decryption));
    // Nobody vouches for this plaintext yet unless the Response is signed; one that is not signed itself is no
    // assertion.
    if (!out.response_signed && crypto::xml::signature_of(*out.assertion.element) == nullptr)
      return bad("unsigned", "neither the Response nor the assertion is signed",
                 "switch signing on at the identity provider");
  }
  if (crypto::xml::signature_of(*out.assertion.element) != nullptr) {
    DP_TRY(const std::string octets,
           crypto::xml::verify_enveloped(out.assertion.document, *out.assertion.element, expected.keys));
    DP_TRY(out.assertion, parse_anew(octets));
    out.assertion_signed = true;
  }
  if (!out.response_signed && !out.assertion_signed)
    return bad("unsigned", "neither the Response nor the assertion is signed",
               "switch signing on at the identity provider");
  DP_CHECK(check_assertion_shape(*out.assertion.element));
  DP_CHECK(check_signature_places(*out.assertion.element, false));
  return out;
}

Result<std::optional<WallTime>> time_of(const Element& element, std::string_view name, std::string_view check) {
  const std::string* text = element.attribute(name);
  if (text == nullptr) return std::optional<WallTime>();
  const auto time = base::parse_rfc3339(*text);
  if (!time.ok()) return bad(std::string(check), std::string(name) + " is no time in UTC: " + shown(*text));
  return std::optional(*time);
}

// saml-core section 2.2.5: an Issuer is the provider's entityID, and nothing else.
Status check_issuer(const Element* issuer, const std::string& wanted) {
  if (issuer == nullptr) return bad("issuer", "there is no Issuer");
  const std::string* format = issuer->attribute("Format");
  DP_TRY(const std::string text, text_of(*issuer));
  if ((format != nullptr && *format != entity_format) || text != wanted)
    return bad("issuer", "the Issuer is " + shown(text) + ", not " + shown(wanted),
               "write the identity provider's entityID as \"issuer\"");
  return {};
}

Status check_in_response_to(const Element& element, const std::optional<std::string>& request_id) {
  const std::string* answers = element.attribute("InResponseTo");
  if (request_id && (answers == nullptr || *answers != *request_id))
    return bad(
        "in_response_to",
        answers == nullptr ? "nothing says which request this answers" : "this answers another request than ours",
        "start the sign-in again");
  if (!request_id && answers != nullptr) return bad("in_response_to", "this answers a request that nobody here made");
  return {};
}

Status check_status(const Element& status) {
  const Element* code =
      status.count(protocol_ns, "StatusCode") == 1 ? status.child(protocol_ns, "StatusCode") : nullptr;
  const std::string* value = code == nullptr ? nullptr : code->attribute("Value");
  if (value == nullptr) return bad("shape", "a Status without exactly one StatusCode");
  if (*value == success) return {};
  const Element* second = code->child(protocol_ns, "StatusCode");
  const std::string* detail = second == nullptr ? nullptr : second->attribute("Value");
  const Element* message = status.child(protocol_ns, "StatusMessage");
  std::string why = printable(detail == nullptr ? *value : *detail, 120);
  if (message != nullptr) why += ": " + printable(trimmed(message->text), 200);
  return bad("status", "the identity provider refused: " + why, "its administrator's log says more");
}

Status check_response(const Believed& believed, const Expected& expected) {
  const Element& response = *believed.response.element;
  const std::string* destination = response.attribute("Destination");
  // saml-bindings section 3.5.5.2: signed and posted, it must say where to.
  if (destination == nullptr ? believed.response_signed : *destination != expected.acs)
    return bad("destination",
               destination == nullptr ? "the signed Response names no Destination"
                                      : "the Response was meant for " + shown(*destination),
               "write " + expected.acs + " as the assertion consumer service at the identity provider");
  if (const Element* issuer = response.child(assertion_ns, "Issuer")) DP_CHECK(check_issuer(issuer, expected.issuer));
  DP_CHECK(check_in_response_to(response, expected.request_id));
  DP_CHECK(check_status(*response.child(protocol_ns, "Status")));
  return {};
}

Result<WallTime> check_confirmation(const Element& confirmation, const Expected& expected) {
  const std::array slots = {Slot{assertion_ns, "NameID", 0, 1}, Slot{assertion_ns, "SubjectConfirmationData", 0, 1}};
  DP_CHECK(check_children(confirmation, slots));
  const Element* data = confirmation.child(assertion_ns, "SubjectConfirmationData");
  if (data == nullptr) return bad("subject_confirmation", "the bearer confirmation has no data");
  const std::string* recipient = data->attribute("Recipient");
  if (recipient == nullptr || *recipient != expected.acs)
    return bad(
        "recipient",
        recipient == nullptr ? "the assertion names no Recipient" : "the assertion was meant for " + shown(*recipient),
        "write " + expected.acs + " as the assertion consumer service at the identity provider");
  DP_CHECK(check_in_response_to(*data, expected.request_id));
  if (data->attribute("NotBefore") != nullptr)
    return bad("subject_confirmation", "a bearer confirmation with NotBefore, which SAML forbids");
  DP_TRY(const auto end, time_of(*data, "NotOnOrAfter", "subject_confirmation"));
  if (!end) return bad("subject_confirmation", "the bearer confirmation has no end");
  if (expected.now - clock_skew >= *end)
    return bad("expired", "the assertion was good until " + base::to_rfc3339(*end),
               "compare the clocks of the two machines");
  return *end;
}

// saml-profiles section 4.1.4.2: at least one bearer confirmation that fits.
Status read_subject(const Element& subject, const Expected& expected, Assertion& out) {
  if (subject.child(assertion_ns, "EncryptedID") != nullptr)
    return bad("encrypted_id", "the subject's name is encrypted by itself, which is not read here",
               "let the identity provider encrypt the whole assertion instead");
  const std::array slots = {Slot{assertion_ns, "NameID", 0, 1},
                            Slot{assertion_ns, "SubjectConfirmation", 1, max_confirmations}};
  DP_CHECK(check_children(subject, slots));
  if (const Element* name = subject.child(assertion_ns, "NameID")) {
    // Providers that lay their XML out put line breaks around it; no name of theirs begins or ends with one.
    DP_TRY(const std::string text, text_of(*name));
    out.name_id = trimmed(text);
    if (out.name_id.empty() || out.name_id.size() > max_name)
      return bad("name_id", "a NameID that is empty or too long");
    const auto read = [&](std::string_view attribute) {
      const std::string* value = name->attribute(attribute);
      return value == nullptr ? std::string() : *value;
    };
    out.name_id_format = read("Format");
    out.name_qualifier = read("NameQualifier");
    out.sp_name_qualifier = read("SPNameQualifier");
    for (const auto* part : {&out.name_id_format, &out.name_qualifier, &out.sp_name_qualifier})
      if (part->size() > max_name) return bad("name_id", "a NameID with a Format or a qualifier that is too long");
  }
  Error why = bad("subject_confirmation", "the assertion has no bearer confirmation");
  for (const Element& child : subject.children) {
    const std::string* method = child.attribute("Method");
    if (!is_saml(child, "SubjectConfirmation") || method == nullptr || *method != bearer) continue;
    auto end = check_confirmation(child, expected);
    if (end.ok()) {
      out.not_on_or_after = *end;
      return {};
    }
    why = std::move(end).error();
  }
  return why;
}

Status check_audiences(const Element& restriction, const std::string& sp_entity_id) {
  const std::array slots = {Slot{assertion_ns, "Audience", 1, 64}};
  DP_CHECK(check_children(restriction, slots));
  std::string first;
  for (const Element& audience : restriction.children) {
    DP_TRY(const std::string text, text_of(audience));
    if (text == sp_entity_id) return {};
    if (first.empty()) first = text;
  }
  return bad("audience", "the assertion is for " + shown(first) + ", not for " + shown(sp_entity_id),
             "write " + sp_entity_id + " as the audience (entityID) at the identity provider");
}

Status check_conditions(const Element& conditions, const Expected& expected) {
  DP_TRY(const auto begin, time_of(conditions, "NotBefore", "conditions"));
  DP_TRY(const auto end, time_of(conditions, "NotOnOrAfter", "conditions"));
  if (begin && end && *begin >= *end)
    return bad("conditions", "the assertion is valid at no time: NotBefore is not before NotOnOrAfter");
  if (begin && expected.now + clock_skew < *begin)
    return bad("not_yet_valid", "the assertion is not valid before " + base::to_rfc3339(*begin),
               "compare the clocks of the two machines");
  if (end && expected.now - clock_skew >= *end)
    return bad("expired", "the assertion was valid until " + base::to_rfc3339(*end),
               "compare the clocks of the two machines");
  if (!conditions.only_elements()) return bad("shape", "text between the elements of Conditions");
  bool restricted = false;
  for (const Element& child : conditions.children) {
    if (is_saml(child, "AudienceRestriction")) {
      DP_CHECK(check_audiences(child, expected.sp_entity_id));
      restricted = true;
    } else if (!is_saml(child, "OneTimeUse") && !is_saml(child, "ProxyRestriction")) {
      // saml-core section 2.5.1.1: a condition that is not understood is not fulfilled.
      return bad("conditions", "the assertion has a condition that is not understood: " + shown(child.name));
    }
  }
  if (!restricted)
    return bad("audience", "the assertion says for nobody that it is meant for them",
               "write " + expected.sp_entity_id + " as the audience (entityID) at the identity provider");
  return {};
}

Status read_authentication(const Element& assertion, const Expected& expected, Assertion& out) {
  bool any = false;
  for (const Element& statement : assertion.children) {
    if (!is_saml(statement, "AuthnStatement")) continue;
    DP_TRY(const auto instant, time_of(statement, "AuthnInstant", "authn_statement"));
    DP_TRY(const auto over, time_of(statement, "SessionNotOnOrAfter", "authn_statement"));
    if (!instant) return bad("authn_statement", "nothing says when the person signed in");
    if (expected.now + clock_skew < *instant)
      return bad("authn_statement", "the person signed in later than now, at " + base::to_rfc3339(*instant),
                 "compare the clocks of the two machines");
    if (over && expected.now >= *over)
      return bad("session_over", "the session at the identity provider was over at " + base::to_rfc3339(*over),
                 "sign in there again");
    if (const std::string* attribute = statement.attribute("SessionIndex")) {
      // What is left out or cut short here is a session that no logout ends.
      const std::string index(trimmed(*attribute));
      if (index.size() > max_name || out.session_indexes.size() == max_sessions)
        return bad("authn_statement", "a SessionIndex that is too long, or more than 64");
      if (!index.empty() && std::ranges::find(out.session_indexes, index) == out.session_indexes.end())
        out.session_indexes.push_back(index);
    }
    if (over)
      out.session_not_on_or_after = out.session_not_on_or_after ? std::min(*out.session_not_on_or_after, *over) : *over;
    if (std::exchange(any, true)) {
      out.authn_instant = std::min(out.authn_instant, *instant);
      continue;
    }
    out.authn_instant = *instant;
    const Element* context = statement.child(assertion_ns, "AuthnContext");
    const Element* reference = context == nullptr ? nullptr : context->child(assertion_ns, "AuthnContextClassRef");
    if (reference != nullptr) {
      DP_TRY(const std::string context_class, text_of(*reference));
      out.authn_context = trimmed(context_class);
      out.authn_context.resize(std::min(out.authn_context.size(), max_name));
    }
  }
  if (!any) return bad("authn_statement", "the assertion says of nobody that they signed in");
  return {};
}

// eduPersonTargetedID holds a NameID where others hold text; anything else that is no text is known as such.
json::Value value_of(const Element& value) {
  const auto nil = std::ranges::find_if(value.attributes, [](const auto& a) {
    return a.ns == schema_instance_ns && a.name == "nil" && (a.value == "true" || a.value == "1");
  });
  if (nil != value.attributes.end()) return nullptr;
  if (value.children.empty()) return value.text;
  if (value.children.size() == 1 && value.only_elements() && is_saml(value.children[0], "NameID") &&
      value.children[0].children.empty())
    return std::string(trimmed(value.children[0].text));
  return nullptr;
}

Status read_attributes(const Element& assertion, Assertion& out) {
  std::size_t values = 0;
  for (const Element& statement : assertion.children) {
    if (!is_saml(statement, "AttributeStatement")) continue;
    for (const Element& element : statement.children) {
      if (is_saml(element, "EncryptedAttribute"))
        return bad("encrypted_attribute", "an attribute is encrypted by itself, which is not read here",
                   "let the identity provider encrypt the whole assertion instead");
      const std::string* name = element.attribute("Name");
      if (!is_saml(element, "Attribute") || name == nullptr || name->empty() || name->size() > max_name)
        return bad("shape", "an attribute without a usable Name");
      auto known = std::ranges::find(out.attributes, *name, &Attribute::name);
      if (known == out.attributes.end()) {
        if (out.attributes.size() == max_attributes) return bad("attributes", "more than 256 attributes");
        known = out.attributes.insert(out.attributes.end(), {*name, {}});
      }
      for (const Element& value : element.children) {
        if (!is_saml(value, "AttributeValue")) return bad("shape", "an attribute holds something that is no value");
        if (++values > max_values) return bad("attributes", "more than 4096 attribute values");
        known->values.push_back(value_of(value));
      }
    }
  }
  return {};
}

}  // namespace

json::Value Assertion::claims() const {
  json::Object out;
  for (const auto& attribute : attributes) {
    if (attribute.values.size() == 1)
      out.set(attribute.name, attribute.values.front());
    else
      out.set(attribute.name, json::Array(attribute.values));
  }
  // The subject's own name is never an attribute's to say.
  out.erase("NameID");
  out.erase("NameID.Format");
  if (!name_id.empty()) {
    out.set("NameID", name_id);
    out.set("NameID.Format", name_id_format.empty() ? unspecified_format : std::string_view(name_id_format));
  }
  return out;
}

Result<Assertion> verify_response(std::string_view xml, const Expected& expected) {
  DP_TRY(const auto believed, believe(xml, expected));
  DP_CHECK(check_response(believed, expected));
  const Element* assertion = believed.assertion.element;
  if (assertion == nullptr) return bad("assertions", "the Response says success and holds no assertion");
  Assertion out;
  const std::string* id = assertion->attribute("ID");
  if (id == nullptr || id->empty() || id->size() > max_name) return bad("shape", "the Assertion has no usable ID");
  out.id = *id;
  DP_CHECK(check_issuer(assertion->child(assertion_ns, "Issuer"), expected.issuer));
  out.issuer = expected.issuer;
  DP_CHECK(check_conditions(*assertion->child(assertion_ns, "Conditions"), expected));
  DP_CHECK(read_subject(*assertion->child(assertion_ns, "Subject"), expected, out));
  DP_CHECK(read_authentication(*assertion, expected, out));
  DP_CHECK(read_attributes(*assertion, out));
  return out;
}

Result<std::string> decode_response(std::string_view field) {
  if (field.size() > max_response_bytes * 3 / 2)
    return bad("too_large", "a SAMLResponse of " + std::to_string(field.size()) + " bytes");
  auto xml = crypto::xml::base64_with_white_space(field);
  if (!xml || xml->empty()) return bad("base64", "the SAMLResponse is not base64");
  return std::move(*xml);
}

}  // namespace daypass::idp::saml
