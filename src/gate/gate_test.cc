#include <gtest/gtest.h>
TEST(Gate, Nothing) {}
