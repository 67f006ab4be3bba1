// The attribute mapping: from a provider's claims to the few typed attributes and groups that policies see.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "core/identity.h"
#include "core/spec.h"

namespace daypass::idp {

/// What a mapping makes of one person's claims.
struct Mapped {
  core::Attributes attributes;   ///< only those whose claim was there (and, with a pattern, matched)
  std::set<std::string> groups;  ///< empty only when the provider really said so
  std::string subject;           ///< never empty: 1 to 255 printable ASCII characters
  std::string display;           ///< for people: no control or direction characters, at most 256 bytes, never empty
  bool operator==(const Mapped&) const = default;
};

constexpr std::size_t max_attributes = 64;
constexpr std::size_t max_string_bytes = std::size_t{4} * 1024;
constexpr std::size_t max_set_entries = 1000;     ///< of a mapped set, after its pattern
constexpr std::size_t max_list_entries = 16'384;  ///< of a claim, before its pattern (a directory's answer is long)
constexpr std::size_t max_mapped_bytes = std::size_t{256} * 1024;
constexpr std::size_t max_pattern_bytes = 256;

/// A provider's mapping, compiled once: claim paths split, patterns in RE2 with bounded memory. Immutable, safe from
/// any thread, cheap to copy.
///
/// Where a value comes from: `from` is a JSON Pointer (RFC 6901) when it begins with "/", else the name of one
/// top-level claim, taken as it is ("https://example.com/groups", "groups"; a dot is part of the name).
///
/// What a value may be. Missing is not null, null is not empty, and a list is not a string:
///   missing   the attribute is absent, or "mapping.required"
///   string    JSON string.   integer   JSON integer (no fraction, no digits in quotes).   boolean   true or false
///   string_set   list of strings, or one string (AD FS sends a single group so)
///   anything else, null included, is "mapping.type": a denial with a reason, never an empty set
/// With a pattern: an entry of a set that does not match is left out; a single string that does not match is absent, or
/// "mapping.pattern" when required. A required set must hold something after its pattern.
class Mapping {
 public:
  /// Errors: "mapping.too_many_attributes", "mapping.attribute_name", "mapping.duplicate", "mapping.from",
  /// "mapping.pattern_syntax", "mapping.pattern_type" (a pattern on an integer or boolean),
  /// "mapping.subject_from" (a claim that people or their employers can change: e-mail, user name).
  static base::Result<Mapping> compile(const core::IdpSpec& spec);

  /// Errors: "mapping.type", "mapping.required", "mapping.pattern", "mapping.too_long", "mapping.too_many",
  /// "mapping.too_large", "mapping.subject", and "mapping.overage": the provider says that the values exist elsewhere.
  [[nodiscard]] base::Result<Mapped> map(const base::json::Value& claims) const;

  /// Whether the claim that holds the groups is not in the token because it is too large, or is held elsewhere.
  [[nodiscard]] bool groups_overage(const base::json::Value& claims) const;

  /// The name of the top-level claim that holds the groups; empty when no groups are mapped, or when they lie deeper.
  [[nodiscard]] std::string groups_claim() const;
  /// The name of the top-level claim that the subject is in.
  [[nodiscard]] std::string subject_claim() const;

  struct Impl;

 private:
  explicit Mapping(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Compiles and maps: for a dry run of an unsaved mapping on recorded claims.
base::Result<Mapped> map_claims(const core::IdpSpec& spec, const base::json::Value& claims);

/// `claims` with the groups that were fetched from the tenant's own URL in the place of the provider's reference to
/// them.
base::json::Value with_fetched_groups(base::json::Value claims, std::string_view groups_claim,
                                      std::vector<std::string> groups);

}  // namespace daypass::idp
