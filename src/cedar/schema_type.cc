#include "cedar/schema_type.h"

#include <algorithm>

namespace daypass::cedar {
namespace {

constexpr std::size_t longest_shown = 200;  // bytes of a type in a message

void append_number(std::string& key, std::uint32_t number) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    key += static_cast<char>(static_cast<unsigned char>(number >> shift));
}

// Plain identifiers stand for themselves in a record type, other names are quoted.
std::string shown_name(const std::string& name) {
  return is_type_name(name) && name.find(':') == std::string::npos ? name : quote(name);
}

}  // namespace

const AttributeType* TypeNode::attribute(std::string_view wanted) const noexcept {
  const auto at = std::lower_bound(attributes.begin(), attributes.end(), wanted,
                                   [](const AttributeType& a, std::string_view name) { return a.name < name; });
  return at == attributes.end() || at->name != wanted ? nullptr : &*at;
}

TypeTable::TypeTable() {
  for (const TypeKind kind :
       {TypeKind::never, TypeKind::true_, TypeKind::false_, TypeKind::boolean, TypeKind::long_, TypeKind::string,
        TypeKind::decimal, TypeKind::ipaddr, TypeKind::datetime, TypeKind::duration}) {
    TypeNode node;
    node.kind = kind;
    nodes_.push_back(std::move(node));
  }
}

const TypeId* TypeTable::find(const std::string& key) const {
  if (below_ != nullptr)
    if (const TypeId* found = below_->find(key)) return found;
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &found->second;
}

TypeId TypeTable::intern(std::string key, TypeNode node) {
  if (const TypeId* found = find(key)) return *found;
  const TypeId fresh = size();
  nodes_.push_back(std::move(node));
  by_key_.emplace(std::move(key), fresh);
  return fresh;
}

TypeId TypeTable::entity(std::string_view name) {
  TypeNode node;
  node.kind = TypeKind::entity;
  node.name = std::string(name);
  return intern("E" + node.name, std::move(node));
}

TypeId TypeTable::set(TypeId element) {
  TypeNode node;
  node.kind = TypeKind::set;
  node.element = element;
  node.height = static_cast<std::uint16_t>(at(element).height + 1);
  std::string key = "S";
  append_number(key, element);
  return intern(std::move(key), std::move(node));
}

TypeId TypeTable::record(std::vector<AttributeType> attributes) {
  std::sort(attributes.begin(), attributes.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  TypeNode node;
  node.kind = TypeKind::record;
  std::string key = "R";
  for (const AttributeType& a : attributes) {
    append_number(key, static_cast<std::uint32_t>(a.name.size()));
    key += a.name;
    append_number(key, a.type);
    key += a.required ? '!' : '?';
    node.height = std::max(node.height, static_cast<std::uint16_t>(at(a.type).height + 1));
  }
  node.attributes = std::move(attributes);
  return intern(std::move(key), std::move(node));
}

std::optional<TypeId> TypeTable::join(TypeId a, TypeId b) {
  if (a == b || b == never) return a;
  if (a == never) return b;
  const auto bool_like = [](TypeId t) { return t == true_ || t == false_ || t == boolean; };
  if (bool_like(a) && bool_like(b)) return boolean;
  const TypeNode& left = at(a);
  const TypeNode& right = at(b);
  if (left.kind != right.kind || (left.kind != TypeKind::set && left.kind != TypeKind::record)) return std::nullopt;
  // Remembered, or two types that share their parts many times over would take for ever.
  const std::uint64_t pair = std::uint64_t{a} << 32U | b;
  if (const auto known = joins_.find(pair); known != joins_.end()) return known->second;
  std::optional<TypeId> joined;
  if (left.kind == TypeKind::record) {
    joined = join_records(left, right);
  } else if (const auto element = join(left.element, right.element)) {
    joined = set(*element);
  }
  joins_.emplace(pair, joined);
  return joined;
}

std::optional<TypeId> TypeTable::join_records(const TypeNode& a, const TypeNode& b) {
  if (a.attributes.size() != b.attributes.size()) return std::nullopt;
  for (std::size_t i = 0; i < a.attributes.size(); ++i)
    if (a.attributes[i].name != b.attributes[i].name || a.attributes[i].required != b.attributes[i].required)
      return std::nullopt;
  std::vector<AttributeType> joined = a.attributes;
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const auto type = join(joined[i].type, b.attributes[i].type);
    if (!type) return std::nullopt;
    joined[i].type = *type;
  }
  return record(std::move(joined));
}

void TypeTable::print(TypeId type, std::string& out) const {
  if (out.size() > longest_shown) return;
  static constexpr std::string_view plain[] = {"nothing", "true",    "false",  "Bool",     "Long",
                                               "String",  "decimal", "ipaddr", "datetime", "duration"};
  const TypeNode& node = at(type);
  if (type < std::size(plain)) {
    out += plain[type];
  } else if (node.kind == TypeKind::entity) {
    out += node.name;
  } else if (node.kind == TypeKind::set) {
    out += "Set<";
    print(node.element, out);
    out += ">";
  } else {
    out += "{";
    for (const AttributeType& a : node.attributes) {
      if (out.size() > longest_shown) return;
      out += (out.back() == '{' ? "" : ", ") + shown_name(a.name) + (a.required ? ": " : "?: ");
      print(a.type, out);
    }
    out += "}";
  }
}

std::string TypeTable::to_string(TypeId type) const {
  std::string out;
  print(type, out);
  if (out.size() <= longest_shown) return out;
  std::size_t n = longest_shown;
  while (n > 0 && (static_cast<unsigned char>(out[n]) & 0xc0U) == 0x80U) --n;
  return out.substr(0, n) + "…";
}

}  // namespace daypass::cedar
