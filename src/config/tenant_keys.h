// The tables of a tenant's files: [[idp]], [[target]] and [[role]], and what each may hold.
#pragma once

#include <array>
#include <span>

#include "config/reader.h"

namespace daypass::config {

std::span<const Key<core::IdpSpec>> idp_keys() noexcept;
/// Of `groups = { … }`.
std::span<const Key<core::IdpSpec>> group_keys() noexcept;
/// Of one entry of [idp.attributes].
std::span<const Key<core::MappingRule>> mapping_keys() noexcept;
/// Of [idp.signals].
std::span<const Key<core::SignalsSpec>> signal_keys() noexcept;
void read_signals(Reader& r, const Node& node, core::IdpSpec& out);

/// Of [idp.scim].
std::span<const Key<core::IdpSpec>> scim_keys() noexcept;
void read_scim(Reader& r, const Node& node, core::IdpSpec& out);
/// What spans it and other keys of its provider.
void judge_scim(Reader& r, const Node& table, const std::set<std::string_view>& seen, core::IdpSpec& idp);

/// The keys of one kind of target and of its roles, beside those that every kind has.
struct KindKeys {
  std::string_view kind;  ///< "pg"
  std::span<const Key<core::TargetSpec>> target;
  std::span<const Key<core::RoleSpec>> role;
  /// Rules that span keys of one target.
  void (*judge)(Reader&, const Node&, const core::TargetSpec&);
};
std::span<const KindKeys> kinds() noexcept;
std::span<const Key<core::TargetSpec>> target_keys() noexcept;
std::span<const Key<core::DefaultLimits>> limit_keys() noexcept;
std::span<const Key<core::RoleSpec>> role_keys() noexcept;

/// Closed sets, as written in files and in the store.
inline constexpr auto client_auths =
    std::to_array<Word<core::ClientAuth>>({{"basic", core::ClientAuth::basic},
                                           {"post", core::ClientAuth::post},
                                           {"private_key_jwt", core::ClientAuth::private_key_jwt},
                                           {"none", core::ClientAuth::none}});
inline constexpr auto overages =
    std::to_array<Word<core::Overage>>({{"refuse", core::Overage::refuse}, {"fetch", core::Overage::fetch}});
inline constexpr auto attribute_types =
    std::to_array<Word<core::AttributeType>>({{"string", core::AttributeType::string},
                                              {"long", core::AttributeType::integer},
                                              {"bool", core::AttributeType::boolean},
                                              {"set", core::AttributeType::string_set}});

/// Bounds on counts.
inline constexpr std::size_t max_idps = 32, max_targets = 2'000, max_roles = 20'000, max_attributes = 64,
                             max_forwards = 8;

/// Of [[forward]].
std::span<const Key<core::ForwardSpec>> forward_keys() noexcept;
std::span<const Word<core::ForwardFormat>> forward_formats() noexcept;

/// Read one [[idp]], [[target]], [[role]], [[forward]]: a name that is empty afterwards was broken.
core::IdpSpec read_idp(Reader& r, const Node& table);
core::TargetSpec read_target(Reader& r, const Node& table);
core::RoleSpec read_role(Reader& r, const Node& table);
core::ForwardSpec read_forward(Reader& r, const Node& table);

}  // namespace daypass::config
