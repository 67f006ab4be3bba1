// The demo's stage: folder, identity provider, PostgreSQL, server, all up and connected. Torn down in reverse.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "app/demo/idp.h"
#include "app/demo/postgres.h"
#include "app/server.h"
#include "net/io.h"

namespace daypass::app::demo {

class Stage {
 public:
  /// `fixed_port`: the API at 8420 when that is free, so that the command line finds it by itself.
  static base::Result<std::unique_ptr<Stage>> set(const base::Clock& clock, base::Entropy& entropy,
                                                  const base::Log& log, bool fixed_port, bool keep);
  ~Stage();

  std::string folder;
  std::atomic<bool> interrupted{false};  ///< ends whatever the story is waiting for
  std::unique_ptr<DemoIdp> idp;
  std::unique_ptr<DemoPostgres> postgres;
  std::unique_ptr<Server> server;

 private:
  Stage() = default;
  std::unique_ptr<net::IoThreads> threads_;
  bool keep_ = false;
};

/// Plays the whole story on the stage; prints what happens. False at the first thing that is not so.
bool play(Stage& stage, const base::Clock& clock);

/// Shows live what is provisioned and revoked until `stop` is set.
void watch(Stage& stage, const std::atomic<bool>& stop);

}  // namespace daypass::app::demo
