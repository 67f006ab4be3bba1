// The reader of policy JSON. Included by its own files only.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cedar/policy.h"

namespace daypass::cedar {

/// The way from the document's root to a value; rendered only when something is wrong there.
struct JsonPath {
  const JsonPath* up = nullptr;
  std::string_view key;
  std::size_t index = 0;  // when `key` is null

  [[nodiscard]] JsonPath member(std::string_view name) const { return {this, name, 0}; }
  [[nodiscard]] JsonPath element(std::size_t i) const { return {this, {}, i}; }
  [[nodiscard]] std::string pointer() const;
};

/// Quoted and shortened, for messages.
std::string brief(std::string_view text);

/// Reads one document. A rule returns nullopt (or false) after an error, which it has told.
class PolicyJsonReader {
 public:
  PolicyJsonReader(std::string file, const ParseOptions& options)
      : source_(std::make_shared<Source>()), options_(options) {
    source_->file = std::move(file);
  }

  base::Result<PolicySet> document(const base::json::Value& json, std::vector<Diagnostic>* diagnostics);

 private:
  using Expr = std::optional<ExprId>;
  std::nullopt_t wrong(const JsonPath& at, const std::string& message, std::string hint = {},
                       std::string check = "cedar.policy_json");
  std::nullopt_t too_deep(const JsonPath& at) {
    return wrong(at, "nested deeper than " + std::to_string(max_nesting), "split the policy", "cedar.too_deep");
  }
  Expr built(Expr e, const JsonPath& at) {
    if (!e) return too_deep(at);
    return e;
  }
  /// The object, whose members are all among `known`; nullptr after an error.
  const base::json::Object* object(const base::json::Value& json, const JsonPath& at, std::string_view what,
                                   std::initializer_list<std::string_view> known);
  const base::json::Object* object(const base::json::Value& json, const JsonPath& at, std::string_view what);
  /// The member, which must be there.
  const base::json::Value* needed(const base::json::Value& json, const JsonPath& at, std::string_view key);
  const std::string* text(const base::json::Value& owner, const JsonPath& at, std::string_view key);

  void set(const base::json::Value& json, const JsonPath& at, PolicySet& out);
  void policies(const base::json::Value* json, const JsonPath& at, bool templates, PolicySet& out);
  void links(const base::json::Value* json, const JsonPath& at, PolicySet& out);
  void one_link(const base::json::Value& json, const JsonPath& at, PolicySet& out);
  void add(Policy policy, const JsonPath& at, PolicySet& out);
  bool room(const JsonPath& at, const PolicySet& out);

  std::shared_ptr<const Policy::Data> policy(const base::json::Value& json, const JsonPath& at);
  bool read_policy(const base::json::Value& json, const JsonPath& at, Policy::Data& data);
  bool annotations(const base::json::Value& json, const JsonPath& at, Policy::Data& data);
  bool condition(const base::json::Value& json, const JsonPath& at, Policy::Data& data);
  bool scope(const base::json::Value& json, const JsonPath& at, std::string_view variable, ScopeTest& test);
  bool operand(const base::json::Value& json, const JsonPath& at, std::string_view variable, ScopeTest& test);
  bool entities(const base::json::Value& json, const JsonPath& at, ScopeTest& test);
  std::optional<EntityUid> uid(const base::json::Value& json, const JsonPath& at);
  bool type(const base::json::Value& owner, const JsonPath& at, std::string& out);

  Expr expr(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr two_sides(Op op, const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr one_side(Op op, const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr left_of(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr variable(const base::json::Value& json, const JsonPath& at);
  Expr conditional(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr get_attr(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr has(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr like(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  bool pattern(const base::json::Value& json, const JsonPath& at, Pattern& out);
  Expr is(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  bool list(const base::json::Value& json, const JsonPath& at, std::size_t depth, std::vector<ExprId>& out);
  Expr set_of(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr record(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr method(const FunctionInfo& function, const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr extension(const FunctionInfo& function, const base::json::Value& json, const JsonPath& at, std::size_t depth);
  Expr call(const FunctionInfo& function, const std::vector<ExprId>& arguments, const JsonPath& at);
  Expr unknown(const std::string& key, const JsonPath& at);
  Expr value(const base::json::Value& json, const JsonPath& at, std::size_t depth);
  /// nullopt: no escape after all.
  std::optional<Expr> escape(const base::json::Object& object, const JsonPath& at, std::size_t depth);

  std::shared_ptr<Source> source_;
  const ParseOptions& options_;
  std::vector<Diagnostic> found_;
  ExprTree tree_;
};

}  // namespace daypass::cedar
