// The store: hierarchy, closure, and what is refused at load.
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::json_of;

Entity entity(std::string id, std::vector<std::string> parents = {}) {
  Entity out;
  out.uid = {"T", std::move(id)};
  for (auto& parent : parents) out.parents.push_back({"T", std::move(parent)});
  return out;
}

TEST(CedarEntities, ClosesTransitively) {
  const auto store = Entities::build({entity("c", {"d", "x"}), entity("a", {"b"}), entity("b", {"c"}), entity("d")});
  ASSERT_TRUE(store.ok());
  const auto in = [&](std::string a, std::string b) { return store->is_in({"T", std::move(a)}, {"T", std::move(b)}); };
  EXPECT_TRUE(in("a", "b") && in("a", "c") && in("a", "d") && in("a", "x") && in("b", "x"));
  EXPECT_FALSE(in("d", "a") || in("c", "a") || in("d", "x") || in("x", "d") || in("a", "q") || in("q", "a"));
  EXPECT_TRUE(in("q", "q") && in("x", "x"));
  EXPECT_NE(store->find({"T", "a"}), nullptr);
  EXPECT_EQ(store->find({"T", "x"}), nullptr);  // only named as a parent
  EXPECT_EQ(store->find({"U", "a"}), nullptr);
}

TEST(CedarEntities, CyclesAreRefused) {
  for (const auto& list : {std::vector{entity("a", {"a"})}, std::vector{entity("a", {"b"}), entity("b", {"a"})},
                           std::vector{entity("q", {"a"}), entity("a", {"b"}), entity("b", {"c"}), entity("c", {"a"})}})
    EXPECT_EQ(Entities::build(list).error().check, "cedar.entity_cycle");
  // A diamond is no cycle.
  EXPECT_TRUE(Entities::build({entity("a", {"b", "c"}), entity("b", {"d"}), entity("c", {"d"}), entity("d")}).ok());
}

TEST(CedarEntities, DuplicatesMustBeEqual) {
  Entity with = entity("a", {"b", "c"});
  with.attrs.emplace("n", Value::set({Value::long_(1), Value::long_(2)}));
  Entity same = entity("a", {"c", "b", "b"});
  same.attrs.emplace("n", Value::set({Value::long_(2), Value::long_(1)}));
  EXPECT_EQ(Entities::build({with, same})->size(), 1U);
  Entity tagged = with;
  tagged.tags.emplace("t", Value::long_(1));
  Entity fewer = with;
  fewer.parents.pop_back();
  Entity changed = with;
  changed.attrs.insert_or_assign("n", Value::long_(1));
  for (const Entity& other : {tagged, fewer, changed})
    EXPECT_EQ(Entities::build({with, other}).error().check, "cedar.entity_duplicate");
}

TEST(CedarEntities, ALayerIsAsGoodAsOneStore) {
  const auto below = std::make_shared<const Entities>(
      *Entities::build({entity("g", {"top"}), entity("top", {"all"}), entity("d", {"loose"})}));
  const auto over = Entities::build_over(below, {entity("a", {"g", "new"}), entity("b", {"a"}), entity("g", {"top"})});
  ASSERT_TRUE(over.ok());
  const auto in = [&](std::string a, std::string b) { return over->is_in({"T", std::move(a)}, {"T", std::move(b)}); };
  EXPECT_TRUE(in("a", "g") && in("a", "top") && in("a", "all") && in("b", "all") && in("a", "new") && in("g", "all"));
  EXPECT_FALSE(in("a", "d") || in("g", "a") || in("d", "all") || in("top", "g"));
  EXPECT_EQ(over->size(), 5U);
  EXPECT_EQ(over->find({"T", "g"}), below->find({"T", "g"}));
  EXPECT_EQ(Entities::from_json(over->to_json())->size(), 5U);
  EXPECT_TRUE(over->with({})->is_in({"T", "b"}, {"T", "all"}));
  EXPECT_EQ(Entities::build_over(below, {entity("g", {"x"})}).error().check, "cedar.entity_duplicate");
  // What is above a name that somebody below is in reaches down; so do cycles.
  const auto under = Entities::build_over(below, {entity("loose", {"up"})});
  EXPECT_TRUE(under->is_in({"T", "d"}, {"T", "up"}));
  EXPECT_EQ(Entities::build_over(below, {entity("all", {"g"})}).error().check, "cedar.entity_cycle");
  EXPECT_TRUE(Entities::build_over(below, {entity("all")})->is_in({"T", "g"}, {"T", "all"}));
}

TEST(CedarEntities, WithAddsAndClosesAnew) {
  const auto groups = Entities::build({entity("g", {"top"})});
  const auto all = groups->with({entity("a", {"g"})});
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(all->is_in({"T", "a"}, {"T", "top"}));
  EXPECT_EQ(groups->size(), 1U);
  EXPECT_EQ(all->with({entity("top", {"a"})}).error().check, "cedar.entity_cycle");
}

TEST(CedarEntities, ActionsHaveActionParents) {
  EXPECT_EQ(Entities::build({{{"Action", "a"}, {}, {{"User", "b"}}, {}}}).error().check, "cedar.action_parent");
  EXPECT_EQ(Entities::build({{{"A::Action", "a"}, {}, {{"ActionX", "b"}}, {}}}).error().check, "cedar.action_parent");
  EXPECT_TRUE(Entities::build({{{"Action", "a"}, {}, {{"A::Action", "b"}}, {}}}).ok());
  EXPECT_TRUE(Entities::build({{{"User", "a"}, {}, {{"Action", "b"}}, {}}}).ok());
}

TEST(CedarEntities, LongChainsAndWideHierarchiesAreBounded) {
  std::vector<Entity> chain;
  for (int i = 0; i < 5'000; ++i) chain.push_back(entity(std::to_string(i), {std::to_string(i + 1)}));
  const auto store = Entities::build(chain);
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(store->is_in({"T", "0"}, {"T", "5000"}));
  for (int i = 5'000; i < 20'000; ++i) chain.push_back(entity(std::to_string(i), {std::to_string(i + 1)}));
  EXPECT_EQ(Entities::build(std::move(chain)).error().check, "cedar.entities_too_many");
}

TEST(CedarEntities, Json) {
  const auto read = [](std::string_view text) {
    const auto store = Entities::from_json(json_of(text));
    return store.ok() ? "ok" : store.error().check;
  };
  EXPECT_EQ(read(R"([])"), "ok");
  EXPECT_EQ(read(
                R"([{"uid": {"__entity": {"type": "U", "id": "a"}}, "attrs": {},
                   "parents": [{"__entity": {"type": "G", "id": "1"}}], "zz": 1}])"),
            "ok");
  EXPECT_EQ(read(
                R"([{"uid": {"type": "U", "id": "a", "x": 1}, "attrs": {"": 1},
                   "parents": [{"type": "G", "id": "1"}, {"type": "G", "id": "1"}]}])"),
            "ok");
  for (const auto bad :
       {R"({})", R"([1])", R"([{"attrs": {}, "parents": []}])", R"([{"uid": {"type": "U", "id": "a"}, "parents": []}])",
        R"([{"uid": {"type": "U", "id": "a"}, "attrs": {}}])",
        R"([{"uid": {"type": "U", "id": "a"}, "attrs": [], "parents": []}])",
        R"([{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": {}}])",
        R"([{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": [], "tags": null}])"})
    EXPECT_EQ(read(bad), "cedar.entities_json") << bad;
  for (const auto bad : {R"([{"uid": "U::\"a\"", "attrs": {}, "parents": []}])",
                         R"([{"uid": {"type": "U", "id": 1}, "attrs": {}, "parents": []}])",
                         R"([{"uid": {"type": "if", "id": "a"}, "attrs": {}, "parents": []}])",
                         R"([{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": ["G::\"1\""]}])"})
    EXPECT_EQ(read(bad), "cedar.entity_uid") << bad;
  EXPECT_EQ(read(R"([{"uid": {"type": "U", "id": "a"}, "attrs": {"x": null}, "parents": []}])"), "cedar.json_value");
  EXPECT_EQ(read(
                R"([{"uid": {"type": "U", "id": "a"}, "attrs": {"x": {"__extn": {"fn": "ip", "arg": "zz"}}},
                   "parents": []}])"),
            "cedar.ip");
}

// The attributes of an entity are never an escape themselves, only their values can be.
TEST(CedarEntities, EscapeNamesAreAttributeNamesAtTheTop) {
  const auto store = Entities::from_json(json_of(
      R"([{"uid": {"type": "U", "id": "a"}, "attrs": {"__entity": {"type": "V", "id": "b"}},
          "tags": {"__extn": 1}, "parents": []}])"));
  ASSERT_TRUE(store.ok());
  const Entity* found = store->find({"U", "a"});
  ASSERT_NE(found, nullptr);
  EXPECT_NE(found->attrs.at("__entity").as_record(), nullptr);
  const auto again = Entities::from_json(store->to_json());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->find({"U", "a"})->attrs, found->attrs);
  EXPECT_EQ(again->find({"U", "a"})->tags, found->tags);
}

TEST(CedarEntities, JsonRoundTrip) {
  const auto again = Entities::from_json(json_of(base::json::dump(testing::world().to_json())));
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->size(), testing::world().size());
  for (const Entity& before : testing::world().all()) {
    const Entity* after = again->find(before.uid);
    ASSERT_NE(after, nullptr);
    EXPECT_EQ(after->attrs, before.attrs);
    EXPECT_EQ(after->tags, before.tags);
    EXPECT_EQ(after->parents, before.parents);
  }
}

}  // namespace
}  // namespace daypass::cedar
