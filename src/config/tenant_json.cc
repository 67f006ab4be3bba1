#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using base::Code;
using base::Error;
using base::Millis;
namespace json = base::json;

constexpr std::int64_t format_version = 1;
constexpr std::int64_t longest_ms = 3650 * day_ms;  // what base::parse_duration takes

// One list of members for each struct serves both directions: a Writer walks it over a const struct, a ShapeReader
// fills.
template <class V, class T>
using Ref = typename V::template Argument<T>;

template <class V>
void members(V& v, Ref<V, core::MappingRule> rule) {
  v("attribute", rule.attribute);
  v("from", rule.from);
  v("type", rule.type, attribute_types);
  v("required", rule.required);
  v("pattern", rule.pattern);
}
template <class V>
void members(V& v, Ref<V, core::SamlSpec> saml) {
  v("metadata", saml.metadata);
  v("metadata_sha256", saml.metadata_sha256);
  v("metadata_signer", saml.metadata_signer);
  v("sp_entity_id", saml.sp_entity_id);
  v("sp_keys", saml.sp_keys);
  v("name_id_format", saml.name_id_format);
  v.later("idp_initiated", saml.idp_initiated);
}
template <class V>
void members(V& v, Ref<V, core::SignalsSpec> signals) {
  v("transmitter", signals.transmitter);
  v("audience", signals.audience);
  v("push_tokens", signals.push_tokens);
  v("poll_url", signals.poll_url);
  v("poll_token", signals.poll_token.ref);
  v("poll_every_ms", signals.poll_every);
  v("jwks_url", signals.jwks_url);
  v("subject_issuer", signals.subject_issuer);
  v("opaque_is_person", signals.opaque_is_person);
}
template <class V>
void members(V& v, Ref<V, core::ScimSpec> scim) {
  v("tokens", scim.tokens);
  v("subject_from", scim.subject_from);
  v("groups", scim.groups);
}
template <class V>
void members(V& v, Ref<V, core::IdpSpec> idp) {
  v("name", idp.name);
  v("display", idp.display);
  v("protocol", idp.protocol);
  v("issuer", idp.issuer);
  v("client_id", idp.client_id);
  v("client_auth", idp.client_auth, client_auths);
  v("client_secret", idp.client_secret.ref);
  v("scopes", idp.scopes);
  v.later("id_token_signed_response_alg", idp.id_token_alg);
  v("attributes", idp.attributes);
  v("groups_from", idp.groups_from);
  v("groups_pattern", idp.groups_pattern);
  v("groups_required", idp.groups_required);
  v("overage", idp.overage, overages);
  v("overage_url", idp.overage_url);
  v("userinfo", idp.userinfo);
  v("ca_file", idp.ca_file);
  v("subject_from", idp.subject_from);
  v("display_from", idp.display_from);
  v("allowed_hosts", idp.allowed_hosts);
  v("session_max_ms", idp.session_max);
  v.later("revalidate_ms", idp.revalidate);
  v.later("consent", idp.consent);
  v.optional("domains", idp.domains);
  if (idp.protocol == "saml") members(v, idp.saml);
  v("signals", idp.signals);
  v.optional("scim", idp.scim);
}
template <class V>
void members(V& v, Ref<V, core::DefaultLimits> limits) {
  v("duration_ms", limits.duration);
  v("idle_ms", limits.idle);
  v("connections", limits.connections);
}
template <class V>
void members(V& v, Ref<V, core::TargetSpec> target) {
  v.id("id", target.id, core::parse_target);
  v("settings", target.settings);
  v("attributes", target.attributes);
  v("limits", target.limits);
}
template <class V>
void members(V& v, Ref<V, core::RoleSpec> role) {
  v.id("id", role.id, core::parse_role);
  v("settings", role.settings);
  v("attributes", role.attributes);
  v("elevated", role.elevated);
  v("duration_cap_ms", role.duration_cap);
  v("description", role.description);
}
template <class V>
void members(V& v, Ref<V, core::PolicyFile> policy) {
  v("file", policy.file);
  v("text", policy.text);
}
template <class V>
void members(V& v, Ref<V, core::ForwardSpec> forward) {
  v("name", forward.name);
  v("url", forward.url);
  v("format", forward.format, forward_formats());
  v("secrets", forward.secrets);
  v("authorization", forward.authorization.ref);
  v("ca_file", forward.ca_file);
  v("allowed_hosts", forward.allowed_hosts);
  v("from_now", forward.from_now);
}
template <class V>
void members(V& v, Ref<V, core::TenantSpec> spec) {
  v.id("tenant", spec.tenant, core::parse_tenant);
  v("version", spec.version);
  v("idps", spec.idps);
  v("targets", spec.targets);
  v("roles", spec.roles);
  v("policies", spec.policies);
  v.optional("forwards", spec.forwards);
}

class Writer {
 public:
  template <class T>
  using Argument = const T&;
  explicit Writer(json::Object& out) : out_(out) {}

  template <class T>
  void later(const char* name, const T& value) {
    (*this)(name, value);
  }
  void operator()(const char* name, const std::string& s) { out_.insert_new(name, s); }
  void operator()(const char* name, const bool& b) { out_.insert_new(name, b); }
  void operator()(const char* name, const std::int64_t& i) { out_.insert_new(name, i); }
  void operator()(const char* name, const int& i) { out_.insert_new(name, i); }
  void operator()(const char* name, const Millis& d) { out_.insert_new(name, std::int64_t{d.count()}); }
  void operator()(const char* name, const std::optional<Millis>& d) {
    out_.insert_new(name, d ? json::Value(std::int64_t{d->count()}) : json::Value());
  }
  void operator()(const char* name, const json::Object& o) { out_.insert_new(name, o); }
  void operator()(const char* name, const core::Attributes& a) { out_.insert_new(name, core::to_json(a)); }
  void operator()(const char* name, const std::vector<std::string>& list) {
    out_.insert_new(name, json::Array(list.begin(), list.end()));
  }
  /// Younger than what is stored already: it is there when there is any.
  void optional(const char* name, const std::vector<std::string>& list) {
    if (!list.empty()) (*this)(name, list);
  }
  template <class E, class Words>
  void operator()(const char* name, const E& value, const Words& words) {
    const auto it = std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.value == value; });
    DP_ASSERT(it != words.end());
    out_.insert_new(name, it->word);
  }
  void operator()(const char* name, const core::DefaultLimits& value) { out_.insert_new(name, object(value)); }
  void operator()(const char* name, const std::optional<core::SignalsSpec>& value) {
    if (value) out_.insert_new(name, object(*value));
  }
  template <class Struct>
  void operator()(const char* name, const std::vector<Struct>& list) {
    json::Array array;
    for (const auto& item : list) array.emplace_back(object(item));
    out_.insert_new(name, std::move(array));
  }
  template <class Struct>
  void optional(const char* name, const std::vector<Struct>& list) {
    if (!list.empty()) (*this)(name, list);
  }
  /// Left out where it says nothing: texts from before it was there read the same.
  template <class Struct>
  void optional(const char* name, const Struct& value) {
    if (!(value == Struct{})) out_.insert_new(name, object(value));
  }
  template <class Id, class Parse>
  void id(const char* name, const Id& value, Parse) {
    out_.insert_new(name, value.str());
  }

 private:
  template <class Struct>
  static json::Object object(const Struct& value) {
    json::Object out;
    Writer inner(out);
    members(inner, value);
    return out;
  }
  json::Object& out_;
};

class ShapeReader {
 public:
  template <class T>
  using Argument = T&;
  ShapeReader(const json::Value& from, std::string path, std::string& failed)
      : from_(from), path_(std::move(path)), failed_(failed) {
    if (from.as_object() == nullptr) fail("", "is no object");
  }

  /// A member that older stores do not have: its default stands in.
  template <class T>
  void later(const char* name, T& value) {
    if (from_.find(name) != nullptr) (*this)(name, value);
  }

  void operator()(const char* name, std::string& s) {
    if (const auto* v = take(name); v != nullptr && v->as_string() != nullptr)
      s = *v->as_string();
    else
      fail(name, "is no string");
  }
  void operator()(const char* name, bool& b) {
    if (const auto* v = take(name); v != nullptr && v->as_bool() != nullptr)
      b = *v->as_bool();
    else
      fail(name, "is no boolean");
  }
  void operator()(const char* name, std::int64_t& i) {
    const auto* v = take(name);
    if (v != nullptr && v->as_int() != nullptr && *v->as_int() >= 0)
      i = *v->as_int();
    else
      fail(name, "is no count");
  }
  void operator()(const char* name, int& i) {
    std::int64_t wide = 0;
    (*this)(name, wide);
    if (wide > INT32_MAX)
      fail(name, "is too large");
    else
      i = static_cast<int>(wide);
  }
  void operator()(const char* name, Millis& d) {
    std::int64_t ms = 0;
    (*this)(name, ms);
    if (ms > longest_ms)
      fail(name, "is too long");
    else
      d = Millis(ms);
  }
  void operator()(const char* name, std::optional<Millis>& d) {
    if (const auto* v = from_.find(name); v != nullptr && v->is_null()) {
      ++taken_;
      d.reset();
    } else {
      (*this)(name, d.emplace());
    }
  }
  void operator()(const char* name, json::Object& o) {
    if (const auto* v = take(name); v != nullptr && v->as_object() != nullptr)
      o = *v->as_object();
    else
      fail(name, "is no object");
  }
  void operator()(const char* name, core::Attributes& a) {
    const auto* v = take(name);
    auto parsed = v == nullptr ? base::Result<core::Attributes>(Error{Code::internal, "tenant.shape", ""})
                               : core::attributes_from_json(*v);
    if (parsed.ok())
      a = std::move(*parsed);
    else
      fail(name, "is no set of attributes");
  }
  void operator()(const char* name, std::vector<std::string>& list) {
    each(name, [&](const json::Value& item, const std::string&) {
      if (const auto* s = item.as_string())
        list.push_back(*s);
      else
        fail(name, "holds something else than strings");
    });
  }
  void optional(const char* name, std::vector<std::string>& list) {
    if (from_.find(name) != nullptr) (*this)(name, list);
  }
  template <class Struct>
  void optional(const char* name, std::vector<Struct>& list) {
    if (from_.find(name) != nullptr) (*this)(name, list);
  }
  template <class E, class Words>
  void operator()(const char* name, E& value, const Words& words) {
    std::string text;
    (*this)(name, text);
    const auto it = std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.word == text; });
    if (it == words.end())
      fail(name, "is no known word");
    else
      value = it->value;
  }
  void operator()(const char* name, core::DefaultLimits& value) {
    if (const auto* v = take(name))
      object(*v, path_ + name + "/", value);
    else
      fail(name, "is missing");
  }
  void operator()(const char* name, std::optional<core::SignalsSpec>& value) {
    if (const auto* v = take(name)) object(*v, path_ + name + "/", value.emplace());
  }
  template <class Struct>
  void operator()(const char* name, std::vector<Struct>& list) {
    each(name, [&](const json::Value& item, const std::string& path) { object(item, path, list.emplace_back()); });
  }
  template <class Struct>
  void optional(const char* name, Struct& value) {
    if (const auto* v = from_.find(name); v != nullptr) object(*take(name), path_ + name + "/", value);
  }
  template <class Id, class Parse>
  void id(const char* name, Id& value, Parse parse) {
    std::string text;
    (*this)(name, text);
    auto parsed = parse(text);
    if (parsed.ok())
      value = std::move(*parsed);
    else
      fail(name, "is no name of that kind");
  }
  void word(const char* name, std::int64_t wanted) {
    std::int64_t found = -1;
    (*this)(name, found);
    if (found != wanted) fail(name, "is not " + std::to_string(wanted));
  }
  /// Every member was asked for?
  void done() {
    const auto* object = from_.as_object();
    if (object != nullptr && object->size() != taken_) fail("", "has members that are not known");
  }

 private:
  const json::Value* take(const char* name) {
    const auto* v = from_.find(name);
    if (v != nullptr) ++taken_;
    return v;
  }
  void fail(std::string_view name, const std::string& why) {
    if (failed_.empty()) failed_ = path_ + std::string(name) + " " + why;
  }
  template <class Struct>
  void object(const json::Value& value, std::string path, Struct& out) {
    ShapeReader inner(value, std::move(path), failed_);
    members(inner, out);
    inner.done();
  }
  template <class Each>
  void each(const char* name, Each read) {
    const auto* v = take(name);
    const auto* array = v == nullptr ? nullptr : v->as_array();
    if (array == nullptr) return fail(name, "is no array");
    std::size_t index = 0;
    for (const auto& item : *array) {
      read(item, path_ + name + "/" + std::to_string(index++) + "/");
      if (!failed_.empty()) return;
    }
  }

  const json::Value& from_;
  std::string path_;
  std::string& failed_;
  std::size_t taken_ = 0;
};

}  // namespace

json::Value to_json(const core::TenantSpec& spec) {
  json::Object out{{"v", format_version}};
  Writer writer(out);
  members(writer, spec);
  return out;
}

base::Result<core::TenantSpec> tenant_from_json(const json::Value& value) {
  core::TenantSpec out;
  std::string failed;
  ShapeReader reader(value, "/", failed);
  reader.word("v", format_version);
  members(reader, out);
  reader.done();
  if (!failed.empty()) return Error{Code::internal, "tenant.shape", "a stored tenant is damaged: " + failed};
  return out;
}

}  // namespace daypass::config
