#  include <zsync/uring.hpp>
#include "stream.hpp"
#include <zsync/uring/drop_in.hpp>
#include <zsync/drop_in.hpp>
