#include "config/server_keys.h"
#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

template <class T>
void add(std::vector<KeyInfo>& out, const std::string& section, std::span<const Key<T>> keys) {
  for (const auto& key : keys)
    out.push_back({section,
                   std::string(key.name),
                   std::string(key.type),
                   std::string(key.fallback.toml),
                   key.fallback.required,
                   std::string(key.example),
                   std::string(key.meaning),
                   {}});
}

// "|" ends a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}
std::string code(std::string_view text) {
  return text.empty() ? "" : "`" + cell(text) + "`";
}

}  // namespace

std::vector<KeyInfo> reference() {
  std::vector<KeyInfo> out;
  for (const auto& key : server_keys()) {
    const std::string name(key.name);
    const std::size_t dot = name.rfind('.');
    out.push_back({"[" + name.substr(0, dot) + "]", name.substr(dot + 1), std::string(key.type),
                   std::string(key.fallback.toml), key.fallback.required, std::string(key.example),
                   std::string(key.meaning), env_name(name)});
  }
  add(out, "[[idp]]", idp_keys());
  add(out, "groups", group_keys());
  add(out, "[idp.attributes]", mapping_keys());
  add(out, "[idp.signals]", signal_keys());
  add(out, "[idp.scim]", scim_keys());
  add(out, "[[target]]", target_keys());
  add(out, "[target.limits]", limit_keys());
  for (const auto& kind : kinds()) add(out, "[[target]] of kind " + std::string(kind.kind), kind.target);
  add(out, "[[role]]", role_keys());
  for (const auto& kind : kinds()) add(out, "[[role]] of kind " + std::string(kind.kind), kind.role);
  add(out, "[[forward]]", forward_keys());
  return out;
}

std::vector<std::pair<std::string, std::string>> reference_tables() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& key : reference()) {
    if (out.empty() || out.back().first != key.section)
      out.emplace_back(key.section, "| Key | Type | Default | Meaning | Example |\n| --- | --- | --- | --- | --- |\n");
    const std::string fallback = key.required ? "required" : code(key.fallback);
    out.back().second += "| `" + key.key + "` | " + key.type + " | " + fallback + " | " + cell(key.meaning) + " | " +
                         code(key.example) + " |\n";
  }
  return out;
}

}  // namespace daypass::config
