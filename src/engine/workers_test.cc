#include "engine/workers.h"

#include <gtest/gtest.h>

namespace daypass::engine {
namespace {

namespace event = core::event;

TEST(Unreached, IsWhatGaveNoAnswer) {
  for (const char* check : {"pg.connect: refused", "pg.timeout: no answer: none", "ssh.connect"}) {
    EXPECT_TRUE(unreached(event::ProvisionFailed{1, check})) << check;
    EXPECT_TRUE(unreached(event::ExtendFailed{1, check})) << check;
  }
  for (const char* check : {"pg.account_busy: x", "pg.sql: pg.connect", "pg.group_role: a.timeout", ""}) {
    EXPECT_FALSE(unreached(event::ProvisionFailed{1, check})) << check;
    EXPECT_FALSE(unreached(event::ExtendFailed{1, check})) << check;
  }
  EXPECT_FALSE(unreached(event::Provisioned{1, "pg.connect"}));
  EXPECT_FALSE(unreached(event::RevokeTried{1, false, "pg.connect: refused"})) << "revocation is never held back";
}

}  // namespace
}  // namespace daypass::engine
