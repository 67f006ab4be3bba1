#include "wire/postgres/statement_memory.h"

#include <algorithm>

#include "wire/postgres/startup.h"

namespace daypass::wire::postgres {

namespace {

// The server's tables compare NAMEDATALEN - 1 bytes: two names that differ later are one.
std::string_view key_of(std::string_view name) noexcept {
  return name.substr(0, kNameMax);
}

// Text plus a guess at what a table entry costs.
std::size_t cost(const Prepared& statement) noexcept {
  return statement.text->sql.size() + statement.name.size() + 160;
}

}  // namespace

void StatementMemory::drop(const std::shared_ptr<Prepared>& statement, Displaced& out) {
  if (statement->reported) return;
  reported(*statement);
  out.statements.push_back(statement);
}

void StatementMemory::drop(Portal& portal, Displaced& out) {
  if (portal.reported) return;
  reported(portal);
  out.portals.push_back(portal);
}

void StatementMemory::reported(Prepared& statement) noexcept {
  if (!statement.reported) --unreported_;
  statement.reported = true;
}

void StatementMemory::reported(Portal& portal) noexcept {
  if (!portal.reported) --unreported_;
  portal.reported = true;
}

void StatementMemory::evict_until_fits(std::size_t bytes, Displaced& out) {
  while (!table_.empty() && (table_.size() >= statements_max_ || bytes_ + bytes > bytes_max_)) {
    const auto oldest = std::min_element(table_.begin(), table_.end(),
                                         [](const auto& a, const auto& b) { return a.second->used < b.second->used; });
    drop(oldest->second, out);
    bytes_ -= cost(*oldest->second);
    table_.erase(oldest);
  }
}

void StatementMemory::prepare(std::shared_ptr<Prepared> statement, Displaced& out) {
  forget(statement->name, out);
  statement->used = ++ticks_;
  if (!statement->reported) ++unreported_;
  if (statement->name.empty()) {
    unnamed_ = std::move(statement);
    return;
  }
  const std::size_t bytes = cost(*statement);
  evict_until_fits(bytes, out);
  bytes_ += bytes;
  std::string key(key_of(statement->name));
  table_.emplace(std::move(key), std::move(statement));
}

std::shared_ptr<Prepared> StatementMemory::find(std::string_view name) {
  if (name.empty()) return unnamed_;
  const auto it = table_.find(key_of(name));
  if (it == table_.end()) return nullptr;
  it->second->used = ++ticks_;
  return it->second;
}

void StatementMemory::forget(std::string_view name, Displaced& out) {
  if (name.empty()) {
    if (unnamed_) drop(unnamed_, out);
    unnamed_.reset();
    return;
  }
  const auto it = table_.find(key_of(name));
  if (it == table_.end()) return;
  drop(it->second, out);
  bytes_ -= cost(*it->second);
  table_.erase(it);
}

void StatementMemory::forget_statements(Displaced& out) {
  forget("", out);
  for (const auto& [name, statement] : table_) drop(statement, out);
  table_.clear();
  bytes_ = 0;
}

bool StatementMemory::bind(Portal& portal, Displaced& out) {
  forget_portal(portal.name, out);
  if (portals_.size() >= portals_max_ && !portal.name.empty()) return false;
  if (!portal.reported) ++unreported_;
  portals_.push_back(std::move(portal));
  return true;
}

Portal* StatementMemory::find_portal(std::string_view name) noexcept {
  const auto it =
      std::find_if(portals_.begin(), portals_.end(), [&](const Portal& p) { return key_of(p.name) == key_of(name); });
  return it == portals_.end() ? nullptr : &*it;
}

void StatementMemory::forget_portal(std::string_view name, Displaced& out) {
  Portal* portal = find_portal(name);
  if (portal == nullptr) return;
  drop(*portal, out);
  portals_.erase(portals_.begin() + (portal - portals_.data()));
}

void StatementMemory::forget_portals(Displaced& out) {
  for (Portal& portal : portals_) drop(portal, out);
  portals_.clear();
}

StatementMemory::Displaced StatementMemory::take_unreported() {
  Displaced out;
  if (unreported_ == 0) return out;
  if (unnamed_) drop(unnamed_, out);
  for (const auto& [name, statement] : table_) drop(statement, out);
  for (Portal& portal : portals_) drop(portal, out);
  return out;
}

}  // namespace daypass::wire::postgres
