// Both parsers on arbitrary text. What parses must survive the way into the store and back; what does not must say
// where.
// parses: config/document.cc config/reader.cc
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/encoding.h"
#include "config/config.h"

namespace {

namespace config = daypass::config;
namespace json = daypass::base::json;

void must(bool held) {
  if (!held) std::abort();
}

void judge(const std::vector<config::Problem>& problems) {
  must(problems.size() <= config::max_problems + 1);
  for (const auto& problem : problems) {
    must(!problem.message.empty());
    const std::string line = problem.render();
    must(daypass::base::is_utf8(line));
    must(line.size() < 20'000);
  }
}

void server(std::string_view text) {
  const auto parsed = config::parse_server(text, "daypass.toml");
  judge(parsed.problems);
  if (!parsed.ok()) return;
  must(config::parse_listen(parsed.value.api.str()).ok());
  must(config::is_loopback(parsed.value.api.host) || !parsed.value.api_cert.empty());
  must(parsed.value.public_url.starts_with("https://") || parsed.value.public_url.starts_with("http://"));
}

void tenant(const std::map<std::string, std::string>& files) {
  const auto parsed = config::parse_tenant(daypass::core::TenantId("default"), files);
  judge(parsed.problems);
  if (!parsed.ok()) return;
  const auto stored = json::parse(json::dump(config::to_json(parsed.value)), config::spec_limits);
  must(stored.ok());
  const auto back = config::tenant_from_json(*stored);
  must(back.ok());
  must(*back == parsed.value);
}

// "NAME=value" lines: the environment.
void environment(std::string_view text) {
  std::map<std::string, std::string> env;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (const std::size_t equals = line.find('='); equals != std::string_view::npos)
      env.emplace("DAYPASS_" + std::string(line.substr(0, equals)), line.substr(equals + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  config::ServerConfig value;
  const auto before = value;
  const auto problems = config::apply_env(value, env);
  for (const auto& problem : problems) must(!problem.message.empty());
  must(problems.empty() || value == before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  server(text);
  tenant({{"tenant.toml", std::string(text)}});
  // Two files, split in the middle of the text: names must be unique over both.
  const std::size_t half = std::min(text.find("\n#--\n"), text.size());
  tenant({{"a.toml", std::string(text.substr(0, half))},
          {"b.toml", std::string(text.substr(half))},
          {"policies/a.cedar", std::string(text.substr(0, 64))}});
  environment(text);
  if (const auto stored = json::parse(text, config::spec_limits); stored.ok()) {
    if (const auto spec = config::tenant_from_json(*stored); spec.ok()) {
      const auto again = config::tenant_from_json(config::to_json(*spec));
      must(again.ok() && *again == *spec);
    }
  }
  return 0;
}
