#pragma once
#include <sys/uio.h>
#include <vector>
// boost::asio::detail in a comment is only talk
