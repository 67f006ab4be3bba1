// The compiled half of Boost.JSON, whose parser json.cc drives.
#include <boost/json/src.hpp>
