#include <zsync/core/fine.hpp>
#include "core/private.hpp"
#include <liburing.h>
