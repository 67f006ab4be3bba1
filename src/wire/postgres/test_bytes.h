// Bytes for tests and fuzzers: messages as clients and servers send them, right or wrong.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace daypass::wire::postgres::bytes {

inline std::string u32(std::uint32_t v) {
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>((v >> shift) & 0xffU));
  return out;
}
inline std::string u16(std::uint16_t v) {
  return u32(v).substr(2);
}
inline std::string z(std::string_view s) {
  return std::string(s) + '\0';
}

inline std::string message(char type, std::string_view body) {
  return std::string(1, type) + u32(static_cast<std::uint32_t>(body.size() + 4)) + std::string(body);
}
inline std::string first(std::uint32_t code, std::string_view body) {
  return u32(static_cast<std::uint32_t>(body.size() + 8)) + u32(code) + std::string(body);
}
inline std::string startup(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs,
                           std::uint32_t code = 0x00030000) {
  std::string body;
  for (const auto& [name, value] : pairs) body += z(name) + z(value);
  return first(code, body + '\0');
}

// Client.
inline std::string query(std::string_view sql) {
  return message('Q', z(sql));
}
inline std::string parse(std::string_view name, std::string_view sql) {
  return message('P', z(name) + z(sql) + u16(0));
}
inline std::string bind_portal(std::string_view portal, std::string_view statement) {
  return message('B', z(portal) + z(statement) + u16(0) + u16(0) + u16(0));
}
inline std::string describe(char what, std::string_view name) {
  return message('D', std::string(1, what) + z(name));
}
inline std::string close(char what, std::string_view name) {
  return message('C', std::string(1, what) + z(name));
}
inline std::string execute(std::string_view portal, std::uint32_t rows = 0) {
  return message('E', z(portal) + u32(rows));
}
inline std::string call(std::uint32_t oid) {
  return message('F', u32(oid) + u16(0) + u16(0) + u16(0));
}
inline std::string sync() {
  return message('S', "");
}
inline std::string flush() {
  return message('H', "");
}
inline std::string terminate() {
  return message('X', "");
}
inline std::string copy_data(std::string_view data) {
  return message('d', data);
}
inline std::string copy_done() {
  return message('c', "");
}
inline std::string copy_fail(std::string_view why) {
  return message('f', z(why));
}

// Server.
inline std::string ready(char state = 'I') {
  return message('Z', std::string(1, state));
}
inline std::string complete(std::string_view tag) {
  return message('C', z(tag));
}
inline std::string empty_query() {
  return message('I', "");
}
inline std::string suspended() {
  return message('s', "");
}
inline std::string parsed() {
  return message('1', "");
}
inline std::string bound() {
  return message('2', "");
}
inline std::string closed() {
  return message('3', "");
}
inline std::string no_data() {
  return message('n', "");
}
inline std::string row_description() {
  return message('T', u16(0));
}
inline std::string data_row(std::string_view value) {
  return message('D', u16(1) + u32(static_cast<std::uint32_t>(value.size())) + std::string(value));
}
inline std::string copy_in_response() {
  return message('G', '\0' + u16(0));
}
inline std::string copy_out_response() {
  return message('H', '\0' + u16(0));
}
inline std::string function_response() {
  return message('V', u32(0xffffffff));
}
inline std::string error(std::string_view sqlstate, std::string_view severity = "ERROR") {
  return message('E', "S" + z(severity) + "V" + z(severity) + "C" + z(sqlstate) + "M" + z("it failed") + '\0');
}
inline std::string notice() {
  return message('N', "S" + z("NOTICE") + "C" + z("00000") + "M" + z("by the way") + '\0');
}

}  // namespace daypass::wire::postgres::bytes
