// Cedar on files, without a server: one decision, validation, translation.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/cli/commands.h"
#include "app/cli/policy_files.h"
#include "cedar/cedar.h"
#include "cedar/corpus.h"
#include "cedar/format.h"
#include "cedar/policy_json.h"
#include "cedar/schema_entities.h"
#include "cedar/validate.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;
namespace fs = std::filesystem;

Result<std::string> read_text(Io& io, const std::string& path) {
  if (path == "-") return io.in();
  std::error_code error;
  if (fs::is_directory(path, error)) return Error{Code::invalid, "policy.file", path + " is a folder", "name a file"};
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{Code::invalid, "policy.file", path + ": " + std::strerror(errno), "is the name right?"};
  std::string text;
  char buffer[65536];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (text.size() > max_policy_file_bytes)
      return Error{Code::invalid, "policy.too_large",
                   path + " is larger than the " + std::to_string(max_policy_file_bytes >> 20U) + " MiB that are read",
                   "split it"};
  }
  if (in.bad()) return Error{Code::invalid, "policy.file", path + " can't be read", ""};
  return text;
}

bool looks_like_json(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

Result<cedar::Schema> read_schema(const std::string& text, const std::string& file,
                                  std::vector<cedar::Diagnostic>* problems) {
  return looks_like_json(text) ? cedar::Schema::parse_json(text, file, {}, problems)
                               : cedar::Schema::parse(text, file, {}, problems);
}

Result<cedar::PolicySet> read_policies(const std::string& text, const std::string& file, bool ids_by_annotation,
                                       std::vector<cedar::Diagnostic>* problems) {
  cedar::ParseOptions options;
  options.ids_from_annotation = ids_by_annotation;
  options.templates = true;
  if (!looks_like_json(text)) return cedar::PolicySet::parse(text, file, options, problems);
  auto parsed = json::parse(text, policy_json_limits);
  if (!parsed.ok()) return Error{Code::invalid, parsed.error().check, file + ": " + parsed.error().message, ""};
  return cedar::policies_from_json(*parsed, file, options, problems);
}

int wrong_files(Io& io, const Globals& g, const Error& error, const std::string& what) {
  (void)fail(io, g, error, what);
  return Exit::usage;
}

void show_diagnostics(Io& io, const std::vector<cedar::Diagnostic>& problems, std::string_view text) {
  for (const auto& problem : problems) io.err(cedar::render(problem, text));
}

namespace {

json::Object to_json(const cedar::Diagnostic& d) {
  return {{"check", d.check},
          {"file", d.file},
          {"line", std::int64_t{d.line}},
          {"column", std::int64_t{d.column}},
          {"length", std::int64_t{d.length}},
          {"message", d.message},
          {"hint", d.hint}};
}

/// What can't be read is shown with every place; the error is the first one.
template <class T>
Result<T> shown_on_failure(Io& io, const Globals& g, Result<T> result, const std::vector<cedar::Diagnostic>& problems,
                           std::string_view text) {
  if (!result.ok() && !g.json()) show_diagnostics(io, problems, text);
  return result;
}

Result<cedar::Schema> load_schema(Io& io, const Globals& g, const std::string& file) {
  DP_TRY(const std::string text, read_text(io, file));
  std::vector<cedar::Diagnostic> problems;
  return shown_on_failure(io, g, read_schema(text, file, &problems), problems, text);
}

Result<json::Value> load_json(Io& io, const std::string& file) {
  DP_TRY(const std::string text, read_text(io, file));
  auto parsed = json::parse(text, cedar::corpus_limits);
  if (!parsed.ok()) return Error{Code::invalid, parsed.error().check, file + ": " + parsed.error().message, ""};
  return parsed;
}

Result<cedar::PolicySet> load_policies(Io& io, const Globals& g, const PolicyFiles& files) {
  DP_TRY(const std::string text, read_text(io, files.policies));
  std::vector<cedar::Diagnostic> problems;
  auto policies = read_policies(text, files.policies, files.ids_by_annotation, &problems);
  return shown_on_failure(io, g, std::move(policies), problems, text);
}

struct Asked {
  cedar::PolicySet policies;
  cedar::Entities entities;
  cedar::Request request;
};

Result<Asked> load_question(Io& io, const Globals& g, const PolicyFiles& files) {
  Asked out;
  DP_TRY(out.policies, load_policies(io, g, files));
  DP_TRY(const json::Value entities, load_json(io, files.entities));
  DP_TRY(const json::Value request, load_json(io, files.request));
  if (files.schema.empty()) {
    DP_TRY(out.entities, cedar::Entities::from_json(entities));
    DP_TRY(out.request, cedar::Request::from_json(request));
  } else {
    DP_TRY(const cedar::Schema schema, load_schema(io, g, files.schema));
    DP_TRY(out.entities, cedar::entities_from_json(entities, schema));
    DP_TRY(out.request, cedar::request_from_json(request, schema));
  }
  return out;
}

json::Array strings(const std::vector<std::string>& list) {
  json::Array out;
  for (const auto& item : list) out.emplace_back(item);
  return out;
}

}  // namespace

int policy_authorize(Io& io, const Globals& g, const PolicyFiles& files) {
  const auto asked = load_question(io, g, files);
  if (!asked.ok()) return wrong_files(io, g, asked.error(), "nothing can be decided");
  const cedar::Answer answer = cedar::authorize(asked->policies, asked->entities, asked->request);
  std::vector<std::string> erred;
  for (const auto& error : answer.errors) {
    erred.push_back(error.policy);
    io.err(files.policies + ":" + std::to_string(error.line) + ":" + std::to_string(error.column) + ": " +
           error.policy + " could not be evaluated: " + error.message + "\n");
  }
  json::Object out{
      {"decision", cedar::to_string(answer.decision)}, {"reason", strings(answer.reasons)}, {"errors", strings(erred)}};
  if (g.json())
    print_json(io, std::move(out));
  else
    io.out(json::dump(json::Value(std::move(out))) + "\n");
  return answer.decision == cedar::Decision::allow ? Exit::done : Exit::failed;
}

int policy_validate(Io& io, const Globals& g, const PolicyFiles& files) {
  const auto schema = load_schema(io, g, files.schema);
  if (!schema.ok()) return wrong_files(io, g, schema.error(), "the schema can't be read");
  const auto text = read_text(io, files.policies);
  if (!text.ok()) return wrong_files(io, g, text.error(), "the policies can't be read");
  std::vector<cedar::Diagnostic> broken;
  const auto policies = read_policies(*text, files.policies, files.ids_by_annotation, &broken);
  if (!policies.ok() && broken.empty()) return wrong_files(io, g, policies.error(), "the policies can't be read");
  cedar::ValidationResult found;
  if (policies.ok()) found = cedar::validate(*policies, *schema, {.max_level = files.level});
  json::Array errors, warnings;
  const auto tell = [&](const std::string& policy, const cedar::Diagnostic& d, json::Array& list, const char* grade) {
    json::Object one = to_json(d);
    if (!policy.empty()) one.set("policy", policy);
    list.emplace_back(std::move(one));
    // Policies that came as JSON have places in their canonical text alone.
    const cedar::Policy* whose = policies.ok() ? policies->find(policy) : nullptr;
    if (whose == nullptr && policies.ok()) whose = policies->find_template(policy);
    const std::string_view source = whose != nullptr ? std::string_view(whose->source().text) : std::string_view(*text);
    if (!g.json()) io.err(grade + (policy.empty() ? "" : policy + ": ") + cedar::render(d, source));
  };
  for (const auto& d : broken) tell("", d, errors, "error: ");
  for (const auto& p : found.errors) tell(p.policy, p.diagnostic, errors, "error: ");
  for (const auto& p : found.warnings) tell(p.policy, p.diagnostic, warnings, "warning: ");
  const bool good = policies.ok() && found.ok();
  if (g.json()) {
    print_json(io, {{"ok", good}, {"errors", std::move(errors)}, {"warnings", std::move(warnings)}});
  } else if (good) {
    io.out(files.policies + ": ok, " + std::to_string(policies->size()) + " policies\n");
  } else {
    io.err(std::to_string(errors.size()) + (errors.size() == 1 ? " error\n" : " errors\n"));
  }
  return good ? Exit::done : Exit::failed;
}

namespace {

/// Both forms of one document; the text may not exist.
struct Translated {
  json::Value as_json;
  Result<std::string> as_text;
};

Result<Translated> translate_schema(const std::string& text, const std::string& file,
                                    std::vector<cedar::Diagnostic>* problems) {
  DP_TRY(const cedar::Schema schema, read_schema(text, file, problems));
  return Translated{schema.to_json(), schema.to_text()};
}

/// The number N of the name policyN, as a text counts its policies; nullopt for other names.
std::optional<std::size_t> number_of(const std::string& id) {
  if (!id.starts_with("policy") || id.size() < 7 || id.size() > 12) return std::nullopt;
  std::size_t n = 0;
  for (const char c : id.substr(6)) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + static_cast<std::size_t>(c - '0');
  }
  return "policy" + std::to_string(n) == id ? std::optional(n) : std::nullopt;
}

/// A text counts its policies, and knows no links; names of another kind are kept as comments.
Result<std::string> text_of(const cedar::PolicySet& set) {
  std::vector<const cedar::Policy*> order;
  for (const auto& policy : set.policies()) {
    if (policy.template_id() != nullptr)
      return Error{Code::invalid, "policy.link",
                   "the text has no words for links, and " + cedar::quote(policy.id()) + " is one",
                   "keep policies that are linked as JSON"};
    order.push_back(&policy);
  }
  for (const auto& one : set.templates()) order.push_back(&one);
  std::ranges::stable_sort(order, {}, [](const cedar::Policy* p) { return number_of(p->id()).value_or(SIZE_MAX); });
  std::string out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string& id = order[i]->id();
    if (number_of(id) != i) out += "// id: " + cedar::quote(id) + "\n";
    out += cedar::policy_to_text(*order[i]) + "\n\n";
  }
  return out.empty() ? out : cedar::format_policies(out, "policies", {.max_bytes = max_policy_file_bytes});
}

Result<Translated> translate_policies(const std::string& text, const std::string& file,
                                      std::vector<cedar::Diagnostic>* problems) {
  DP_TRY(const cedar::PolicySet set, read_policies(text, file, false, problems));
  DP_TRY(json::Value as_json, cedar::policies_to_json(set));
  return Translated{std::move(as_json), text_of(set)};
}

}  // namespace

int policy_translate(Io& io, const Globals& g, const std::string& kind, const std::string& file, std::string to) {
  const auto text = read_text(io, file);
  if (!text.ok()) return wrong_files(io, g, text.error(), "nothing was translated");
  if (to.empty()) to = looks_like_json(*text) ? "text" : "json";
  std::vector<cedar::Diagnostic> problems;
  const auto both = shown_on_failure(
      io, g, kind == "schema" ? translate_schema(*text, file, &problems) : translate_policies(*text, file, &problems),
      problems, *text);
  if (!both.ok()) return wrong_files(io, g, both.error(), "the " + kind + " can't be read");
  if (to == "json") {
    if (g.json())
      print_json(io, {{kind, both->as_json}});
    else
      io.out(json::dump_pretty(both->as_json) + "\n");
    return Exit::done;
  }
  if (!both->as_text.ok()) {
    (void)fail(io, g, both->as_text.error(), "the " + kind + " can't be written as text");
    return Exit::failed;
  }
  const std::string& written = *both->as_text;
  if (g.json())
    print_json(io, {{"text", written}});
  else
    io.out(written + (written.empty() || written.ends_with('\n') ? "" : "\n"));
  return Exit::done;
}

namespace {

/// In place of the file, whole or not at all.
base::Status replace_file(const std::string& path, const std::string& text) {
  // Through a link to the file itself.
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  const fs::path fresh = real.string() + ".daypass-fmt";
  const Error failed{Code::invalid, "fmt.write", path + " can't be written: " + error.message(),
                     "is the folder writable?"};
  if (error) return failed;
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    if (!out) {
      fs::remove(fresh, error);
      return failed;
    }
  }
  fs::permissions(fresh, fs::status(real).permissions(), error);
  fs::rename(fresh, real, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(fresh, ignored);
  return failed;
}

enum class Formatted : std::uint8_t { same, changed, broken };

Formatted format_one(Io& io, const Globals& g, const std::string& file, bool check) {
  const auto refuse = [&](const Error& error) {
    io.err(file + ": " + error.message + " (" + error.check + ")" +
           (error.hint.empty() ? "" : "\n  hint: " + error.hint) + "\n");
    return Formatted::broken;
  };
  const auto text = read_text(io, file);
  if (!text.ok()) return refuse(text.error());
  std::vector<cedar::Diagnostic> problems;
  const auto formatted = cedar::format_policies(*text, file, {}, &problems);
  if (!formatted.ok()) {
    show_diagnostics(io, problems, *text);
    return problems.empty() ? refuse(formatted.error()) : Formatted::broken;
  }
  const bool stdin_to_stdout = file == "-";
  if (stdin_to_stdout && !check && !g.json()) io.out(*formatted);
  if (*formatted == *text) return Formatted::same;
  if (!check && !stdin_to_stdout)
    if (const auto written = replace_file(file, *formatted); !written.ok()) return refuse(written.error());
  return Formatted::changed;
}

}  // namespace

int policy_fmt(Io& io, const Globals& g, const std::vector<std::string>& files, bool check) {
  json::Array changed, broken;
  for (const auto& file : files) {
    const Formatted is = format_one(io, g, file, check);
    if (is == Formatted::broken) broken.emplace_back(file);
    if (is != Formatted::changed) continue;
    changed.emplace_back(file);
    if (!g.json() && (check || file != "-")) (check ? io.out : io.err)((check ? "" : "formatted ") + file + "\n");
  }
  const int code = !broken.empty() ? int{Exit::usage} : check && !changed.empty() ? int{Exit::failed} : int{Exit::done};
  if (g.json())
    print_json(io, {{"ok", code == Exit::done}, {"changed", std::move(changed)}, {"broken", std::move(broken)}});
  return code;
}

}  // namespace daypass::app::cli
