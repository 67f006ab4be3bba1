// Policies compiled for deciding: an exact index over their scopes and flat code for their conditions. Says what the
// plain authorize() says, in every field; its cost does not grow with the policies that don't concern the request.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cedar/authorize.h"
#include "cedar/entities.h"
#include "cedar/policy.h"

namespace daypass::cedar {

class Program;
class ScopeIndex;

/// Immutable; safe to read from any thread. What is handed out by decide() counts policies as `policies()` does.
class CompiledPolicies {
 public:
  /// Never fails: a literal that is malformed becomes code that errs when it is reached, as the language has it.
  static std::shared_ptr<const CompiledPolicies> compile(PolicySet policies);
  CompiledPolicies(const CompiledPolicies&) = delete;
  CompiledPolicies& operator=(const CompiledPolicies&) = delete;
  ~CompiledPolicies();

  [[nodiscard]] const PolicySet& policies() const noexcept { return policies_; }
  [[nodiscard]] const Program& program() const noexcept { return *program_; }
  [[nodiscard]] const ScopeIndex& index() const noexcept { return *index_; }

 private:
  explicit CompiledPolicies(PolicySet policies);

  PolicySet policies_;
  std::unique_ptr<ScopeIndex> index_;
  std::unique_ptr<const Program> program_;
};

/// The memory that decisions work in, kept from one to the next so that a decision allocates nothing. One thread at a
/// time; may serve any CompiledPolicies in turn.
class Scratch {
 public:
  Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  struct Parts;
  [[nodiscard]] Parts& parts() noexcept { return *parts_; }

 private:
  std::unique_ptr<Parts> parts_;
};

enum class Thoroughness : std::uint8_t {
  complete,  ///< every policy is evaluated
  verdict,   ///< forbids first, up to the first that is satisfied, then permits likewise; the lists end there
};

/// A decision without names. The lists are indexes into policies(), in file order (those that erred before a verdict:
/// forbids first), and valid until the Scratch is used again or ends.
struct Decided {
  Decision decision = Decision::deny;
  std::span<const std::uint32_t> permits;  ///< satisfied
  std::span<const std::uint32_t> forbids;  ///< satisfied
  std::span<const std::uint32_t> erred;
  bool forbid_erred = false;  ///< who must fail closed denies then
};

Decided decide(const CompiledPolicies& policies, const Entities& entities, const Request& request, Scratch& scratch,
               Thoroughness thoroughness = Thoroughness::complete);

/// A complete decision with names, and with what went wrong where; the other arguments are those of the decide() call.
Answer render(const Decided& decided, const CompiledPolicies& policies, const Entities& entities,
              const Request& request);

/// decide() and render() with a Scratch of this thread. Equal to authorize() of the same PolicySet in every field.
Answer authorize(const CompiledPolicies& policies, const Entities& entities, const Request& request);

/// The policies whose scope fits, in file order: what the index by itself is worth. Valid as the lists of Decided.
std::span<const std::uint32_t> candidates(const CompiledPolicies& policies, const Entities& entities,
                                          const Request& request, Scratch& scratch);

}  // namespace daypass::cedar
