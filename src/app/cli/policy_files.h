// Reading the files that the policy commands are given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/cli/context.h"
#include "cedar/schema.h"

namespace daypass::app::cli {

/// Of one file: policies, entities, schema, request.
inline constexpr std::size_t max_policy_file_bytes = std::size_t{64} << 20U;

/// Of policies as JSON: an expression nests two levels for one operator.
inline constexpr base::json::Limits policy_json_limits{
    .bytes = max_policy_file_bytes, .depth = 1100, .nodes = 4'000'000, .members = 10'000};

/// "-" is stdin. Errors: "policy.file", "policy.too_large".
base::Result<std::string> read_text(Io& io, const std::string& path);
/// Neither policies nor schemas as text begin with a brace.
bool looks_like_json(std::string_view text);
/// Either form.
base::Result<cedar::Schema> read_schema(const std::string& text, const std::string& file,
                                        std::vector<cedar::Diagnostic>* problems);
/// Either form, templates and links too.
base::Result<cedar::PolicySet> read_policies(const std::string& text, const std::string& file, bool ids_by_annotation,
                                             std::vector<cedar::Diagnostic>* problems);
/// Shows the error; exit 2.
int wrong_files(Io& io, const Globals& g, const base::Error& error, const std::string& what);
/// Each with its line, a caret and the hint.
void show_diagnostics(Io& io, const std::vector<cedar::Diagnostic>& problems, std::string_view text);

}  // namespace daypass::app::cli
