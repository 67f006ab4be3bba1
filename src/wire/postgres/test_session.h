// A session whose two sides are fed by hand, and what its records look like in one line: for the tests of tracker and
// tap.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/postgres/relay.h"
#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {

inline base::MonoTime at(int ms) {
  return base::MonoTime(base::Millis(ms));
}

// Every message takes one millisecond.
struct Session {
  explicit Session(ActivityLimits limits = {}) : tap(limits) {}

  Session& client(const std::string& in) {
    const auto passed = tap.client(in, at(++clock));
    EXPECT_EQ(passed.bytes, in.size());
    EXPECT_TRUE(passed.stop == Tap::Stop::none || passed.stop == Tap::Stop::terminate);
    return *this;
  }
  Session& server(const std::string& in) {
    const auto passed = tap.server(in, at(++clock));
    EXPECT_EQ(passed.bytes, in.size());
    EXPECT_EQ(passed.stop, Tap::Stop::none);
    return *this;
  }
  std::vector<Record> records() {
    std::vector<Record> out;
    while (auto record = tap.records().pop()) out.push_back(std::move(*record));
    return out;
  }
  Record only() {
    auto all = records();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Record{} : all.front();
  }

  Tap tap;
  int clock = 0;
};

inline std::string text_of(const Record& r) {
  return r.text ? r.text->sql : "(unknown)";
}

// One line for a record: what a test compares.
inline std::string line(const Record& r) {
  std::string out = std::string(to_string(r.kind)) + " " + std::string(to_string(r.outcome));
  if (!r.sqlstate.empty()) out += " " + r.sqlstate;
  if (!r.command.empty()) out += " [" + r.command + "]";
  if (r.rows) out += " rows=" + std::to_string(*r.rows);
  if (r.skipped > 0) out += " skipped=" + std::to_string(r.skipped);
  if (r.copy_in_bytes > 0) out += " in=" + std::to_string(r.copy_in_bytes);
  if (r.copy_out_bytes > 0) out += " out=" + std::to_string(r.copy_out_bytes);
  if (!r.statement.empty()) out += " stmt=" + r.statement;
  if (!r.portal.empty()) out += " portal=" + r.portal;
  return out + ": " + text_of(r);
}

inline std::vector<std::string> lines(Session& s) {
  std::vector<std::string> out;
  for (const Record& r : s.records()) out.push_back(line(r));
  return out;
}

using Lines = std::vector<std::string>;

}  // namespace daypass::wire::postgres
