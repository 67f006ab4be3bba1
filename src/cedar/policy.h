// Policies as parsed: identity, scope, conditions, and where in which file each part stands.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "cedar/expr.h"
#include "cedar/value.h"

namespace daypass::cedar {

/// One thing wrong with a policy text. Lines and columns count from 1, columns in code points.
struct Diagnostic {
  std::string file;
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  std::string check;         ///< stable name: "cedar.syntax", "cedar.unknown_function", …
  std::string message;       ///< lower case, no full stop
  std::string hint;          ///< may be empty
  std::uint32_t length = 1;  ///< code points to underline on that line, at least 1

  bool operator==(const Diagnostic&) const = default;
};

/// `file:line:column: message`, the source line, a caret below it and the hint. `source_text` is the whole file.
/// Control and bidirectional characters of the source are shown as U+FFFD, so that a policy can't paint the terminal.
std::string render(const Diagnostic& diagnostic, std::string_view source_text);

struct ParseOptions {
  /// Name a policy by its `@id("…")`; those without one stay `policyN`, N counting all policies and templates of the
  /// set from 0, links left out.
  bool ids_from_annotation = false;
  bool templates = false;                         ///< keep templates; else one is refused ("cedar.template")
  std::size_t max_bytes = std::size_t{1} << 20U;  ///< of one text
  std::size_t max_policies = 100'000;             ///< of the whole set
  std::size_t max_diagnostics = 100;              ///< reporting stops there
};

enum class Effect : std::uint8_t { permit, forbid };
std::string_view to_string(Effect effect) noexcept;

/// A file the policies came from; shared by them.
struct Source {
  std::string file;
  std::string text;
  std::vector<std::uint32_t> line_starts;  ///< byte offset of each line

  struct Place {
    std::uint32_t line;
    std::uint32_t column;
  };
  /// Line and column (code points, from 1) of a byte offset.
  [[nodiscard]] Place place(std::uint32_t offset) const noexcept;
  [[nodiscard]] std::string_view slice(Span span) const noexcept;
  /// What is wrong there, with its place; the mark ends with the line.
  [[nodiscard]] Diagnostic diagnose(Span span, std::string check, std::string message, std::string hint) const;
};

/// One of the three tests in a policy's head.
struct ScopeTest {
  enum class Kind : std::uint8_t { any, equal, in, is, is_in };
  Kind kind = Kind::any;
  std::vector<EntityUid> entities;  ///< one for equal, in and is_in; any number for `action in [ … ]`
  std::string type;                 ///< for is and is_in
  Span span;
  bool listed = false;  ///< written as a list
  bool slot = false;    ///< `?principal` or `?resource` in the entity's place: only in templates
};

struct Condition {
  bool unless = false;
  ExprId body = 0;
  Span span;  ///< from `when` to the closing brace
};

/// The entities in a template's slots, by "?principal" and "?resource".
using SlotValues = std::map<std::string, EntityUid>;

/// One policy, template, or link of a template; copies share it. Immutable. A link is its template with the slots
/// filled: it has the template's text, places and annotations.
class Policy {
 public:
  struct Data {
    Effect effect = Effect::permit;
    std::map<std::string, std::string, std::less<>> annotations;
    std::vector<std::string> annotation_order;
    std::vector<std::string> bare_annotations;  ///< keys of those without a value, in their order
    ScopeTest principal, action, resource;
    std::vector<Condition> conditions;
    ExprTree exprs;
    Span span;
    std::shared_ptr<const Source> source;
  };
  Policy(std::string id, std::shared_ptr<const Data> data) : id_(std::move(id)), data_(std::move(data)) {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] Effect effect() const noexcept { return data_->effect; }
  [[nodiscard]] const auto& annotations() const noexcept { return data_->annotations; }
  /// Keys as written, first to last.
  [[nodiscard]] const auto& annotation_order() const noexcept { return data_->annotation_order; }
  /// The value of `@key("…")`, "" for a bare `@key`; nullptr when it is not there.
  [[nodiscard]] const std::string* annotation(std::string_view key) const noexcept;
  /// Whether it was written without a value; `@key` and `@key("")` mean the same.
  [[nodiscard]] bool is_bare_annotation(std::string_view key) const noexcept;
  [[nodiscard]] const ScopeTest& principal() const noexcept { return link_ ? link_->principal : data_->principal; }
  [[nodiscard]] const ScopeTest& action() const noexcept { return data_->action; }
  [[nodiscard]] const ScopeTest& resource() const noexcept { return link_ ? link_->resource : data_->resource; }
  [[nodiscard]] std::span<const Condition> conditions() const noexcept { return data_->conditions; }
  [[nodiscard]] const ExprTree& exprs() const noexcept { return data_->exprs; }
  [[nodiscard]] const std::string& file() const noexcept { return data_->source->file; }
  [[nodiscard]] std::uint32_t line() const noexcept { return place(data_->span).line; }
  [[nodiscard]] std::uint32_t column() const noexcept { return place(data_->span).column; }
  /// Has an unfilled slot.
  [[nodiscard]] bool is_template() const noexcept { return principal().slot || resource().slot; }
  /// The template that this is a link of; nullptr for any other.
  [[nodiscard]] const std::string* template_id() const noexcept { return link_ ? &link_->template_id : nullptr; }
  /// What fills the slots of a link; empty for any other.
  [[nodiscard]] const SlotValues& slots() const noexcept;
  /// The policy's own source text, annotations to semicolon.
  [[nodiscard]] std::string_view text() const noexcept { return slice(data_->span); }
  [[nodiscard]] std::string_view slice(Span span) const noexcept { return data_->source->slice(span); }
  [[nodiscard]] const Source& source() const noexcept { return *data_->source; }
  [[nodiscard]] Source::Place place(Span span) const noexcept { return data_->source->place(span.begin); }

 private:
  friend class PolicySet;
  struct Link {
    std::string template_id;
    SlotValues slots;
    ScopeTest principal, resource;
  };

  std::string id_;
  std::shared_ptr<const Data> data_;
  std::shared_ptr<const Link> link_;  // of a link only
};

/// Policies in file order, templates beside them, with unique ids. Immutable but for add() and link().
class PolicySet {
 public:
  PolicySet() = default;
  /// Parses one text. All errors of the text are found in one run and, when `diagnostics` is given, appended to it; the
  /// Error returned carries the check and place of the first. Errors: "cedar.too_large", "cedar.utf8", "cedar.syntax",
  /// "cedar.too_deep", "cedar.too_many", "cedar.duplicate_id", "cedar.template", and others of Diagnostic::check.
  static base::Result<PolicySet> parse(std::string_view text, std::string file, const ParseOptions& options = {},
                                       std::vector<Diagnostic>* diagnostics = nullptr);
  /// Appends another text's policies. On failure nothing is added.
  base::Status add(std::string_view text, std::string file, const ParseOptions& options = {},
                   std::vector<Diagnostic>* diagnostics = nullptr);

  /// Adds the policy `id`: the template with `slots` in its slots ("?principal", "?resource"). On failure nothing is
  /// added. Errors: "cedar.unknown_template", "cedar.missing_slot", "cedar.extra_slot", "cedar.duplicate_id".
  base::Status link(std::string_view template_id, std::string id, const SlotValues& slots);

  /// Static policies and links: all that decide. None of them has a slot.
  [[nodiscard]] std::span<const Policy> policies() const noexcept { return policies_; }
  [[nodiscard]] std::span<const Policy> templates() const noexcept { return templates_; }
  [[nodiscard]] std::size_t size() const noexcept { return policies_.size(); }
  [[nodiscard]] bool empty() const noexcept { return policies_.empty(); }
  /// nullptr when there is no policy of that id.
  [[nodiscard]] const Policy* find(std::string_view id) const noexcept;
  [[nodiscard]] const Policy* find_template(std::string_view id) const noexcept;

 private:
  friend class PolicyJsonReader;
  struct Where {
    bool among_templates = false;
    std::uint32_t index = 0;
  };
  /// Static policies and templates so far: the number of the next one.
  [[nodiscard]] std::size_t numbered() const noexcept { return policies_.size() - links_ + templates_.size(); }
  /// To policies or templates; the one that has the id already, else nullptr.
  const Policy* insert(Policy policy);
  [[nodiscard]] const Policy& at(Where where) const noexcept {
    return (where.among_templates ? templates_ : policies_)[where.index];
  }

  std::vector<Policy> policies_;
  std::vector<Policy> templates_;
  std::size_t links_ = 0;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Where, Hash, std::equal_to<>> by_id_;
};

}  // namespace daypass::cedar
