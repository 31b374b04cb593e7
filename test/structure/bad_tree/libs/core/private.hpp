int array[2]; /* brackets; and semicolons */
#include "../uring/ring_private.hpp"
