#include "app/witness.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "app/secrets.h"

namespace daypass::app {

namespace json = base::json;
using base::Code;
using base::Error;

namespace {

constexpr json::Limits limits{.bytes = std::size_t{16} << 20U, .depth = 4, .nodes = 200'000, .members = 100'000};

Error damaged(const std::string& path, const std::string& why) {
  return {Code::invalid, "witness.file", path + " can't be read: " + why,
          "it tells whether the store was set back; without it the server can't know. Look at the store, then move the "
          "file away"};
}

}  // namespace

base::Result<std::optional<engine::Witness>> read_witness(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::optional<engine::Witness>();
    return damaged(path, std::strerror(errno));
  }
  const auto text = config::read_file(path);
  if (!text.ok()) return damaged(path, text.error().message);
  const auto body = json::parse(*text, limits);
  if (!body.ok()) return damaged(path, body.error().message);
  engine::Witness out;
  out.instance = body->string_or("instance");
  const auto at = base::parse_rfc3339(body->string_or("at"));
  const json::Value* logs = body->find("logs");
  if (out.instance.empty() || !at.ok() || logs == nullptr || logs->as_array() == nullptr)
    return damaged(path, "it is no witness file");
  out.at = *at;
  for (const auto& log : *logs->as_array()) {
    const std::int64_t records = log.int_or("records", -1);
    if (log.string_or("tenant").empty() || records < 0) return damaged(path, "it is no witness file");
    out.log_sizes.insert_or_assign(core::TenantId(log.string_or("tenant")), static_cast<std::uint64_t>(records));
  }
  return std::optional(std::move(out));
}

base::Status write_witness(const std::string& path, const engine::Witness& witness) {
  json::Array logs;
  for (const auto& [tenant, records] : witness.log_sizes)
    logs.push_back(json::Object{{"tenant", tenant.str()}, {"records", records}});
  return write_private(
      path,
      json::dump_pretty(json::Object{
          {"v", 1}, {"instance", witness.instance}, {"at", base::to_rfc3339(witness.at)}, {"logs", std::move(logs)}}));
}

}  // namespace daypass::app
