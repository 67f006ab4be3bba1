// Cedar on files, without a server: one decision, validation, translation.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/cli/commands.h"
#include "app/cli/policy_files.h"
#include "cedar/cedar.h"
#include "cedar/corpus.h"
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
  cedar::ParseOptions options;
  options.ids_from_annotation = files.ids_by_annotation;
  std::vector<cedar::Diagnostic> problems;
  return shown_on_failure(io, g, cedar::PolicySet::parse(text, files.policies, options, &problems), problems, text);
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
  cedar::ParseOptions options;
  options.ids_from_annotation = files.ids_by_annotation;
  std::vector<cedar::Diagnostic> broken;
  const auto policies = cedar::PolicySet::parse(*text, files.policies, options, &broken);
  cedar::ValidationResult found;
  if (policies.ok()) found = cedar::validate(*policies, *schema, {.max_level = files.level});
  json::Array errors, warnings;
  const auto tell = [&](const std::string& policy, const cedar::Diagnostic& d, json::Array& list, const char* grade) {
    json::Object one = to_json(d);
    if (!policy.empty()) one.set("policy", policy);
    list.emplace_back(std::move(one));
    if (!g.json()) io.err(grade + (policy.empty() ? "" : policy + ": ") + cedar::render(d, *text));
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

int policy_translate(Io& io, const Globals& g, const std::string& kind, const std::string& file, std::string to) {
  const auto text = read_text(io, file);
  if (!text.ok()) return wrong_files(io, g, text.error(), "nothing was translated");
  if (to.empty()) to = looks_like_json(*text) ? "text" : "json";
  std::vector<cedar::Diagnostic> problems;
  const auto schema = shown_on_failure(io, g, read_schema(*text, file, &problems), problems, *text);
  if (!schema.ok()) return wrong_files(io, g, schema.error(), "the " + kind + " can't be read");
  if (to == "json") {
    if (g.json())
      print_json(io, {{kind, schema->to_json()}});
    else
      io.out(json::dump_pretty(schema->to_json()) + "\n");
    return Exit::done;
  }
  const auto written = schema->to_text();
  if (!written.ok()) {
    (void)fail(io, g, written.error(), "the " + kind + " has no text");
    return Exit::failed;
  }
  if (g.json())
    print_json(io, {{"text", *written}});
  else
    io.out(*written + (written->ends_with('\n') ? "" : "\n"));
  return Exit::done;
}

}  // namespace daypass::app::cli
