// The demo: everything on loopback, everything real, everything thrown away at the end.
#pragma once

namespace daypass::app::demo {

struct DemoOptions {
  bool story = false;  ///< play the whole story and exit; without a terminal this is what happens anyway
  bool keep = false;   ///< leave the data folder behind, to look at
};

/// 0 when every step was as it should be; else 1, at the first that was not.
int run_demo(const DemoOptions& options);

}  // namespace daypass::app::demo
