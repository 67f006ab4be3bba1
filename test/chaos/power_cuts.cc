#include "chaos/power_cuts.h"

#include <filesystem>

#include "chaos/twin_store.h"
#include "conformance/store_files.h"
#include "sim/story.h"

namespace daypass::chaos {

PowerCuts play_power_cuts(std::uint64_t seed, DiskMutant mutant, bool history) {
  const store::conformance::TemporaryFolder folder;
  sim::World world({.seed = seed, .history = history});
  TwinStore twin(world, folder.path("daypass.db"), seed);
  twin.disk.broken.swallows_sync = mutant == DiskMutant::swallows_sync;
  twin.disk.broken.forgets_names = mutant == DiskMutant::forgets_names;
  twin.answers_early = mutant == DiskMutant::answers_early;
  sim::Story story(world);
  story.play();
  return {world.oracle.checker(), world.oracle.what(), twin.disk.tally(), twin.commits,
          twin.reopened,          twin.unheard,        twin.forgotten,    world.history()};
}

}  // namespace daypass::chaos
